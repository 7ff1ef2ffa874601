// The drivers of the GPU's kernel families. Contracts: core/backend.h.
#pragma once

#include <varve/core/backend.h>
#include <varve/core/index_range.h>
#include <varve/cuda/context.h>

namespace varve::cuda {

void drive_fill(Context& on, const View& out, const void* element);
void drive_copy(Context& on, const View& in, const View& out);
// Copies bytes by one kernel, whose parameters are these, in this order.
void drive_receive(Context& on, const void* from, void* to, int64_t bytes);
void drive_pointwise(Context& on, pointwise::Id fn, const double* constants, Views in, Views out);
void drive_reduce(Context& on, ReduceFn fn, const View& in, const View& out);
void drive_rows(Context& on, RowFn fn, Views in, Views out);
void drive_sort(Context& on, bool descending, const View& in, Views out);
void drive_matmul(Context& on, const View& a, const View& b, const View& out, bool tf32);
void drive_gather(Context& on, const View& in, const View& index, int axis, const View& out);
void drive_scatter_add(Context& on, const View& in, const View& index, int axis, const View& out);
void drive_random(Context& on, RandomFn fn, double p, const View& state, const View& out);

// Values by rising keys, of which so many bits count; equal ones keep their order.
void sort_by_keys(Context& on, const uint64_t* keys, const int64_t* values, uint64_t* sorted_keys,
                  int64_t* sorted, int64_t total, int bits);

// Refuses the first index that is not in the range; the host waits for that. While work is recorded it
// cannot, and where the kernels that follow are to put such an index is returned: it is looked at later.
int64_t* check_indices(Context& on, const View& index, const IndexRange& range);

}  // namespace varve::cuda
