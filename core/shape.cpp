#include <varve/core/shape.h>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include <varve/core/error.h>

namespace varve {

Dims::Dims(std::span<const int64_t> dims) {
  for (int64_t d : dims) push_back(d);
}

Dims Dims::filled(int rank, int64_t value) {
  Dims dims;
  for (int i = 0; i < rank; ++i) dims.push_back(value);
  return dims;
}

void Dims::out_of_range(int i) const {
  throw ShapeError(fmt::format("shape: entry {} of {}; required is 0 to {}", i, to_string(*this), rank_ - 1));
}

void Dims::push_back(int64_t dim) { insert(rank_, dim); }

void Dims::insert(int at, int64_t dim) {
  if (rank_ == kMaxRank)
    throw ShapeError(fmt::format("shape: more than {} axes; reshape to merge some of them", kMaxRank));
  std::copy_backward(dims_ + at, dims_ + rank_, dims_ + rank_ + 1);
  dims_[at] = dim;
  ++rank_;
}

void Dims::erase(int at) {
  std::copy(dims_ + at + 1, dims_ + rank_, dims_ + at);
  --rank_;
}

bool Dims::contains(int64_t value) const { return std::find(begin(), end(), value) != end(); }

// The product. Sizes of 0 count as 1 against the limit, so that strides fit too; bytes fit for elements of up
// to 16.
int64_t numel(const Shape& shape) {
  constexpr int64_t kMostElements = std::numeric_limits<int64_t>::max() / 16;
  int64_t product = 1;
  bool empty = false;
  for (int64_t d : shape) {
    empty = empty || d == 0;
    if (d < 0 || __builtin_mul_overflow(product, std::max<int64_t>(d, 1), &product) ||
        product > kMostElements)
      throw ShapeError(fmt::format("shape: {} has a negative size or too many elements", to_string(shape)));
  }
  return empty ? 0 : product;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t step = 1;
  for (int i = shape.rank(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

std::string to_string(const Dims& dims) { return fmt::format("[{}]", fmt::join(dims, ", ")); }

int normalize_axis(int64_t axis, int rank, std::string_view operation) {
  const int64_t found = axis < 0 ? axis + rank : axis;
  if (rank == 0) throw ShapeError(fmt::format("{}: axis {} of a scalar, which has none", operation, axis));
  if (found < 0 || found >= rank)
    throw ShapeError(fmt::format("{}: axis {} of a tensor with {} axes; required is {} to {}", operation,
                                 axis, rank, -rank, rank - 1));
  return static_cast<int>(found);
}

Axes normalize_axes(const Axes& axes, int rank, std::string_view operation) {
  Axes sorted;
  for (int i = 0; i < rank; ++i) {
    const auto is_i = [&](int64_t axis) { return normalize_axis(axis, rank, operation) == i; };
    const auto times = std::count_if(axes.begin(), axes.end(), is_i);
    if (times > 1)
      throw ShapeError(fmt::format("{}: axis {} given twice in {}", operation, i, to_string(axes)));
    if (times == 1 || axes.empty()) sorted.push_back(i);
  }
  if (rank == 0)
    for (int64_t axis : axes) normalize_axis(axis, rank, operation);
  return sorted;
}

Shape broadcast(const Shape& a, const Shape& b, std::string_view operation) {
  if (a == b) return a;
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Shape::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const int64_t x = i <= a.rank() ? a[a.rank() - i] : 1, y = i <= b.rank() ? b[b.rank() - i] : 1;
    if (x != y && x != 1 && y != 1)
      throw ShapeError(
          fmt::format("{}: shapes {} and {} do not broadcast; sizes {} and {} differ and neither is 1",
                      operation, to_string(a), to_string(b), x, y));
    out[rank - i] = x == 1 ? y : x;
  }
  return out;
}

}  // namespace varve
