#include <varve/core/cpu/space.h>

#include <varve/core/axes.h>

namespace varve::cpu {

Space::Space(const Shape& shape, Views first, Views second) {
  for (const View& v : first) operand_.emplace_back(v);
  for (const View& v : second) operand_.emplace_back(v);
  rank_ = shape.rank();
  total_ = numel(shape);
  std::copy(shape.begin(), shape.end(), size_.begin());
  rank_ = merge_axes(std::span(size_).first(static_cast<size_t>(rank_)), std::span(operand_));
}

int64_t Space::offset(const Operand& o, int64_t index) const {
  int64_t at = 0;
  for (int axis = rank_; axis-- > 1;) {
    at += index % size_[axis] * o.strides[axis];
    index /= size_[axis];
  }
  return rank_ ? at + index * o.strides[0] : 0;
}

namespace {
// Whether elements first ... first + n - 1 lie one after the other.
bool in_place(const Space& space, const Operand& o, Compute c, int64_t first, int64_t n) {
  return o.dtype == dtype_of_compute(c) && (space.inner_stride(o) == 1 || space.inner() == 1) &&
         (space.rank() <= 1 || first % space.inner() + n <= space.inner());
}
}  // namespace

const void* loaded(const Kernels& k, const Space& space, const Operand& o, Compute c, int64_t first,
                   int64_t n, void* stage) {
  if (in_place(space, o, c, first, n)) return o.at(space.offset(o, first));
  const LoadLoop load = k.load[static_cast<size_t>(o.dtype)][static_cast<size_t>(c)];
  const auto width = static_cast<int64_t>(size_of(dtype_of_compute(c)));
  for_each_run(space, o, first, n, [&](int64_t offset, int64_t done, int64_t count) {
    load(o.at(offset), space.inner_stride(o), static_cast<std::byte*>(stage) + done * width, count);
  });
  return stage;
}

void* target(const Space& space, const Operand& o, Compute c, int64_t first, int64_t n, void* stage) {
  return in_place(space, o, c, first, n) ? o.at(space.offset(o, first)) : stage;
}

void stored(const Kernels& k, const Space& space, const Operand& o, Compute c, int64_t first, int64_t n,
            const void* stage) {
  if (in_place(space, o, c, first, n)) return;
  const StoreLoop store = k.store[static_cast<size_t>(c)][static_cast<size_t>(o.dtype)];
  const auto width = static_cast<int64_t>(size_of(dtype_of_compute(c)));
  for_each_run(space, o, first, n, [&](int64_t offset, int64_t done, int64_t count) {
    store(static_cast<const std::byte*>(stage) + done * width, o.at(offset), space.inner_stride(o), count);
  });
}

}  // namespace varve::cpu
