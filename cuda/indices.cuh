// What kernels make of indices.
#pragma once

#include <varve/core/index_range.h>
#include <varve/cuda/verdicts.h>

namespace varve::cuda {

// The place that an index names, counted from the end where negative; -1 where it is out of range, which is
// noted.
inline __device__ int64_t place_of(int64_t index, const IndexRange& range, int64_t* verdict) {
  if (range.holds(index)) return index < 0 ? index + range.size : index;
  if (verdict) *verdict = index == kNothingFound ? index + 1 : index;
  return -1;
}

}  // namespace varve::cuda
