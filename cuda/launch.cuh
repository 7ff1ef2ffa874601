// How kernels are started, and how their threads share out elements.
#pragma once

#include <varve/core/dtype.h>
#include <varve/cuda/context.h>
#include <varve/cuda/hopper.cuh>

namespace varve::cuda {

// Calls body(i) for i = 0 ... total - 1, shared out among the threads of the grid.
template <class Body>
__device__ void for_each_index(int64_t total, Body&& body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total; i += step) body(i);
}

// Starts a kernel, which waits by take_turn(), of so many blocks; `cluster` of them, side by side along x,
// reach each other's shared memory.
template <class... Parameters, class... Arguments>
void start_blocks(Context& on, dim3 blocks, unsigned cluster, void (*kernel)(Parameters...),
                  const Arguments&... arguments) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {cluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = blocks, config.blockDim = kThreads, config.stream = on.queue();
  config.attrs = attributes, config.numAttrs = !on.hopper ? 0 : cluster > 1 ? 2 : 1;
  with_room(on, "cudaLaunchKernelEx",
            [&] { return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...); });
}

// Starts a kernel that shares out `total` elements; none where there are none.
template <class... Parameters, class... Arguments>
void start(Context& on, int64_t total, void (*kernel)(Parameters...), const Arguments&... arguments) {
  if (total > 0) start_blocks(on, blocks_for(on, total), 1, kernel, arguments...);
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
    case 8:
      return f.template operator()<uint64_t>();
    default:
      return f.template operator()<uint4>();
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
