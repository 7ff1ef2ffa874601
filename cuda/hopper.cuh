// What GPUs can from compute capability 9.0 on; on others the host asks for none of it, and it is nothing.
#pragma once

#include <cstdint>

namespace varve::cuda {

// What every kernel does before it reads or writes memory: the next one on the queue may take its place on
// the device, and what came before is done, and seen, when this returns.
__device__ inline void take_turn() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Every thread of the cluster has come here, and sees what the others put into shared memory.
__device__ inline void meet_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

// What block `rank` of the cluster has in shared memory where this one has `mine`.
__device__ inline float in_block(const float* mine, unsigned rank) {
#if __CUDA_ARCH__ >= 900
  uint32_t there;
  float value;
  asm("mapa.shared::cluster.u32 %0, %1, %2;"
      : "=r"(there)
      : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(mine))), "r"(rank));
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(there) : "memory");
  return value;
#else
  return *mine;
#endif
}

// Copies `some` of kEach floats, 1 or 4, into shared memory, and zeros for the rest, in a batch that this
// thread waits for later.
template <int kEach>
__device__ void copy_later(float* to, const float* from, int some) {
#if __CUDA_ARCH__ >= 900
  const auto place = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  if constexpr (kEach == 4)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(4 * some)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(place), "l"(from), "r"(4 * some)
                 : "memory");
#endif
}
__device__ inline void end_of_batch() {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Until no more than kLeft batches are on their way.
template <int kLeft>
__device__ void wait_for_batches() {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
#endif
}

}  // namespace varve::cuda
