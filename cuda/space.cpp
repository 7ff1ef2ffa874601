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

}  // namespace varve::cuda
