// Which numbers an op takes as indices along an axis, on every backend, and the error for any other.
#pragma once

#include <cstdint>

#include <varve/core/export.h>

namespace varve {

struct IndexRange {
  const char* op;
  int64_t size;
  bool from_end = true;  // negative ones count from the end; else the indices are numbers of classes

  VARVE_HD bool holds(int64_t index) const { return index >= (from_end ? -size : 0) && index < size; }
  [[noreturn]] void refuse(int64_t found) const;  // a ShapeError
};

}  // namespace varve
