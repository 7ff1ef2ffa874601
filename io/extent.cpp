#include <varve/io/extent.h>

#include <algorithm>
#include <numeric>
#include <tuple>

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

Place::Place(const Value& v)
    : storage(v.storage.get()),
      extent(extent_of(v.offset, static_cast<int64_t>(size_of(v.dtype)), v.shape, v.strides)) {}

std::vector<std::span<size_t>> overlapping(std::span<const Place> places, std::vector<size_t>& order) {
  order.resize(places.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t i) {
    return std::tuple(reinterpret_cast<uintptr_t>(places[i].storage), places[i].extent.low, i);
  };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::vector<std::span<size_t>> runs;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    const Storage* storage = places[order[begin]].storage;
    int64_t high = places[order[begin]].extent.high;
    for (++end; end < order.size(); ++end) {
      const Place& next = places[order[end]];
      if (next.storage != storage || next.extent.low >= high) break;
      high = std::max(high, next.extent.high);
    }
    runs.push_back(std::span(order).subspan(begin, end - begin));
  }
  return runs;
}

}  // namespace varve::io
