#include <varve/cuda/space.h>

#include <algorithm>

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
  merge_axes();
}

// Drops axes of size 1, and joins an axis to the next where every operand steps over both alike.
void Space::merge_axes() {
  int kept = 0;
  for (int axis = 0; axis < rank; ++axis) {
    if (size[axis] == 1) continue;
    const auto joins = [&](const Operand& o) { return o.strides[kept - 1] == o.strides[axis] * size[axis]; };
    const bool join = kept > 0 && std::all_of(operand, operand + operands, joins);
    const int to = join ? kept - 1 : kept++;
    size[to] = join ? size[to] * size[axis] : size[axis];
    for (int i = 0; i < operands; ++i) operand[i].strides[to] = operand[i].strides[axis];
  }
  rank = kept;
}

int64_t Space::offset(int i, int64_t index) const {
  int64_t at = 0;
  for (int axis = rank; axis-- > 0; index /= size[axis]) at += index % size[axis] * operand[i].strides[axis];
  return at;
}

}  // namespace varve::cuda
