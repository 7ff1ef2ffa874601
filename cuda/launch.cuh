// How kernels are started, and how their threads share out elements.
#pragma once

#include <varve/core/dtype.h>
#include <varve/cuda/context.h>

namespace varve::cuda {

// Calls body(i) for i = 0 ... total - 1, shared out among the threads of the grid.
template <class Body>
__device__ void for_each_index(int64_t total, Body&& body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += step) body(i);
}

// Starts a kernel that shares out `total` elements; none where there are none.
template <class... Parameters, class... Arguments>
void start(Context& on, int64_t total, void (*kernel)(Parameters...), const Arguments&... arguments) {
  if (total == 0) return;
  kernel<<<blocks_for(on, total), kThreads, 0, on.queue()>>>(arguments...);
  VARVE_CUDA_CHECK(cudaGetLastError());
}

// Calls f.template operator()<T>() with an unsigned type of so many bytes: elements that are only moved.
template <class F>
void with_bits(size_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    default:
      return f.template operator()<uint64_t>();
  }
}

// The same with the type that stands for a compute type.
template <class F>
void with_compute(Compute compute, F&& f) {
  switch (compute) {
    case Compute::f32:
      return f.template operator()<float>();
    case Compute::f64:
      return f.template operator()<double>();
    case Compute::i64:
      return f.template operator()<int64_t>();
    case Compute::u64:
      return f.template operator()<uint64_t>();
  }
}

}  // namespace varve::cuda
