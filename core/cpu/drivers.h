// The drivers of the CPU's kernel families: strides, dtypes, threads and the order of sums. Contracts:
// core/backend.h.
#pragma once

#include <varve/core/backend.h>
#include <varve/core/index_range.h>

namespace varve::cpu {

void drive_fill(const View& out, const void* element);
void drive_copy(const View& in, const View& out);
void drive_pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out);
void drive_reduce(ReduceFn fn, const View& in, const View& out);
void drive_rows(RowFn fn, Views in, Views out);
void drive_matmul(const View& a, const View& b, const View& out);
void drive_gather(const View& in, const View& index, int axis, const View& out);
void drive_scatter_add(const View& in, const View& index, int axis, const View& out);
void drive_random(RandomFn fn, double p, const View& state, const View& out);

// Refuses the first index that is not in the range.
void check_indices(const View& index, const IndexRange& range);

}  // namespace varve::cpu
