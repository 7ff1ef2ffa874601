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
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
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

}  // namespace varve::cuda
