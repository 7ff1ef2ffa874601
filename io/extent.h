// Where the elements of a view lie.
#pragma once

#include <cstdint>

#include <varve/core/storage.h>

namespace varve::io {

// An axis of one element takes no step, and a tensor without elements none at all: there a stride is that of
// a row-major tensor, so that one content has one encoding. The shape's elements can be counted.
Strides plain_strides(const Shape& shape, Strides strides);

// The bytes that a view of elements of `size` bytes reaches, from low to below high; empty at its offset if
// it has no elements. An Error where they cannot be counted.
struct Extent {
  int64_t low = 0, high = 0;
  int64_t bytes() const { return high - low; }
  bool operator==(const Extent&) const = default;
};
Extent extent_of(int64_t offset, int64_t size, const Shape& shape, const Strides& strides);
inline Extent extent_of(const Value& v) {
  return extent_of(v.offset, static_cast<int64_t>(size_of(v.dtype)), v.shape, v.strides);
}

// Whether every axis steps over all that axes of smaller strides reach: then no two elements are in one
// place, and they ascend in memory with the axes taken so. The view has an extent.
VARVE_API bool is_nested(const Shape& shape, const Strides& strides);

}  // namespace varve::io
