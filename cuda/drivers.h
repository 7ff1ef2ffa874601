// The drivers of the GPU's kernel families. Contracts: core/backend.h.
#pragma once

#include <varve/core/backend.h>
#include <varve/cuda/context.h>

namespace varve::cuda {

void drive_fill(Context& on, const View& out, const void* element);
void drive_copy(Context& on, const View& in, const View& out);
void drive_pointwise(Context& on, pointwise::Id fn, std::span<const double> constants, Views in, Views out);
void drive_reduce(Context& on, ReduceFn fn, const View& in, const View& out);
void drive_rows(Context& on, RowFn fn, const View& in, Views out);
void drive_sort(Context& on, bool descending, const View& in, Views out);
void drive_matmul(Context& on, const View& a, const View& b, const View& out);
void drive_gather(Context& on, const View& in, const View& index, int axis, const View& out);
void drive_scatter_add(Context& on, const View& in, const View& index, int axis, const View& out);
void drive_random(Context& on, RandomFn fn, double p, const View& state, const View& out);

[[noreturn]] void refuse_index(const char* op, int64_t found, int64_t size);

}  // namespace varve::cuda
