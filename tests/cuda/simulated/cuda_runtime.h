// What nvcc knows in a .cu file: its words, vectors, and functions of the device, for a compiler of the host.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "tests/cuda/simulated/device.h"
#include "tests/cuda/simulated/grid.h"

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ thread_local  // a thread of the host has a block, and does one after the other

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

using std::max;
using std::min;
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline double __hiloint2double(int high, int low) {
  return std::bit_cast<double>(uint64_t{static_cast<unsigned>(high)} << 32 | static_cast<unsigned>(low));
}

inline void __syncthreads() { varve::simulated::meet_block(); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return varve::simulated::exchanged(value, [mask](int lane) { return lane ^ mask; });
}
template <class T>
T __shfl_down_sync(unsigned, T value, int by) {
  return varve::simulated::exchanged(value, [by](int lane) { return lane + by; });
}
template <class T>
T __shfl_up_sync(unsigned, T value, int by) {
  return varve::simulated::exchanged(value, [by](int lane) { return lane - by; });
}
// Of one cluster's blocks, and of one grid's, only one thread of the host is at any place at a time.
template <class T>
T atomicMin(T* at, T value) {
  return std::exchange(*at, std::min(*at, value));
}

template <class... Parameters>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*)(Parameters...)) {
  attributes->ptxVersion = 90;
  return cudaSuccess;
}
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  return varve::simulated::launch(*config, varve::simulated::kernel_of(kernel, arguments...));
}
