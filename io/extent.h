// Where the elements of a view lie: the bytes they reach, and which views may meet there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <varve/core/tensor.h>

namespace varve::io {

// An axis of one element takes no step, and a tensor without elements none at all: there a stride is that of
// a row-major tensor, so that one content has one encoding. The shape's elements can be counted.
Strides plain_strides(const Shape& shape, Strides strides);

// The bytes that a view of elements of `size` bytes reaches, from low to below high; empty at its offset if
// it has no elements.
struct Extent {
  int64_t low = 0, high = 0;
  int64_t bytes() const { return high - low; }
};
Extent extent_of(int64_t offset, int64_t size, const Shape& shape, const Strides& strides);

// The same of a tensor in memory.
struct Place {
  const Storage* storage;
  Extent extent;
  explicit Place(const Value& v);
};

// Numbers of places in runs, those of one run together, such that no place reaches into another run's. They
// lie in `order`, which is filled.
std::vector<std::span<size_t>> overlapping(std::span<const Place> places, std::vector<size_t>& order);

}  // namespace varve::io
