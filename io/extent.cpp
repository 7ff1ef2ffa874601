#include <varve/io/extent.h>

#include <array>
#include <cstdlib>
#include <span>
#include <utility>

#include <varve/io/layout.h>

namespace varve::io {

Strides plain_strides(const Shape& shape, Strides strides) {
  const Strides row_major = contiguous_strides(shape);
  const bool empty = numel(shape) == 0;
  for (int i = 0; i < shape.rank(); ++i)
    if (empty || shape[i] == 1) strides[i] = row_major[i];
  return strides;
}

Extent extent_of(int64_t offset, int64_t size, const Shape& shape, const Strides& strides) {
  if (numel(shape) == 0) return {offset, offset};
  Extent extent{offset, checked_add(offset, size)};
  for (int i = 0; i < shape.rank(); ++i) {
    const int64_t span = checked_multiply(checked_multiply(shape[i] - 1, strides[i]), size);
    (span < 0 ? extent.low : extent.high) = checked_add(span < 0 ? extent.low : extent.high, span);
  }
  return extent;
}

bool is_nested(const Shape& shape, const Strides& strides) {
  if (numel(shape) == 0) return true;
  std::array<std::pair<int64_t, int64_t>, kMaxRank> axes;  // step, size, by step
  size_t count = 0;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] <= 1) continue;
    size_t at = count++;
    for (; at > 0 && axes[at - 1].first > std::abs(strides[i]); --at) axes[at] = axes[at - 1];
    axes[at] = {std::abs(strides[i]), shape[i]};
  }
  int64_t reach = 0;
  for (const auto& [step, size] : std::span(axes).first(count)) {
    if (step <= reach) return false;
    reach += step * (size - 1);
  }
  return true;
}

}  // namespace varve::io
