#include <varve/cuda/space.h>

#include <algorithm>

#include <varve/core/axes.h>
#include <varve/core/error.h>

namespace varve::cuda {

Space::Space(const Shape& shape, Views first, Views second) {
  if (first.size() + second.size() > static_cast<size_t>(kMaxOperands))
    throw Error("cuda: a kernel of more than 10 operands");
  const auto add = [&](const View& v) {
    Operand& o = operand[operands++];
    o.data = v.as<std::byte>();
    o.dtype = v.dtype;
    std::copy(v.strides.begin(), v.strides.end(), o.strides);
  };
  for (const View& v : first) add(v);
  for (const View& v : second) add(v);
  rank = shape.rank();
  total = numel(shape);
  std::copy(shape.begin(), shape.end(), size);
  rank = merge_axes(std::span(size, static_cast<size_t>(rank)),
                    std::span(operand, static_cast<size_t>(operands)));
}

int64_t Space::offset(int i, int64_t index) const {
  int64_t at = 0;
  for (int axis = rank; axis-- > 0; index /= size[axis]) at += index % size[axis] * operand[i].strides[axis];
  return at;
}

Space Space::without(int axis) const {
  Space less = *this;
  less.total /= size[axis];
  --less.rank;
  for (int i = axis; i < less.rank; ++i) {
    less.size[i] = size[i + 1];
    for (int k = 0; k < operands; ++k) less.operand[k].strides[i] = operand[k].strides[i + 1];
  }
  return less;
}

bool Space::widen(size_t element_bytes, unsigned constant) {
  const int64_t count = kWide / static_cast<int64_t>(element_bytes);
  if (rank == 0 || size[rank - 1] % count != 0) return false;
  const auto is_constant = [&](int k) { return (constant >> k & 1u) != 0; };
  for (int k = 0; k < operands; ++k) {
    if (inner_stride(k) != (is_constant(k) ? 0 : 1)) return false;
    if (is_constant(k)) continue;
    if (reinterpret_cast<uintptr_t>(operand[k].data) % kWide != 0) return false;
    for (int axis = 0; axis < rank - 1; ++axis)
      if (operand[k].strides[axis] % count != 0) return false;
  }
  size[rank - 1] /= count, total /= count;
  for (int k = 0; k < operands; ++k)
    for (int axis = 0; axis < rank - 1 && !is_constant(k); ++axis) operand[k].strides[axis] /= count;
  return true;
}

}  // namespace varve::cuda
