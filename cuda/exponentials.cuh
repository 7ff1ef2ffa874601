// A row of numbers shared by a group of threads: what they have in common, and its exponentials. What a
// thread sees of a row, and the tree that joins threads, depend on the row's length alone.
#pragma once

#include <limits>

#include <varve/core/pointwise.h>
#include <varve/cuda/number.cuh>

namespace varve::cuda {

inline constexpr int kWarp = 32;

// The threads that share a row.
template <int kSize>
struct Group {
  int lane = threadIdx.x % kSize;

  // join over the group's values by a fixed tree, for a join that is the same either way round: every thread
  // gets it. All threads of the block must come, or of the warp where that is the group.
  template <class T, class Join>
  __device__ T joined(T value, Join join) const {
#pragma unroll
    for (int half = kWarp / 2; half > 0; half /= 2) value = join(value, __shfl_xor_sync(~0u, value, half));
    if constexpr (kSize > kWarp) {
      __shared__ T parts[kSize / kWarp];
      if (lane % kWarp == 0) parts[lane / kWarp] = value;
      __syncthreads();
      value = parts[0];
      for (int w = 1; w < kSize / kWarp; ++w) value = join(value, parts[w]);
      __syncthreads();
    }
    return value;
  }
};

__device__ inline float exp_of(float x) { return ::expf(x); }
__device__ inline double exp_of(double x) { return ::exp(x); }
__device__ inline float log_of(float x) { return ::logf(x); }
__device__ inline double log_of(double x) { return ::log(x); }

// The largest of a row, and the sum of exp(x - top). row.each(body) calls body for each number that is this
// thread's, and with minus infinity, which changes neither, for any others.
template <class T>
struct Exponentials {
  T top = -std::numeric_limits<T>::infinity(), sum = 0;

  template <int kSize, class Row>
  __device__ Exponentials(const Group<kSize>& group, const Row& row) {
    row.each([&](T x) { top = pointwise::maximum(top, x); });
    top = group.joined(top, [](T a, T b) { return pointwise::maximum(a, b); });
    row.each([&](T x) { sum += exp_of(x - top); });
    sum = group.joined(sum, [](T a, T b) { return a + b; });
  }
  // Of the target's number: -log of its softmax.
  __device__ T cross_entropy(T x) const { return log_of(sum) - (x - top); }
  // The gradient by a number of the row, dy (softmax - 1 if it is the target's).
  __device__ T cross_entropy_slope(T x, T dy, bool is_target) const {
    return product_of(dy, exp_of(x - top) * (T(1) / sum)) - (is_target ? dy : T(0));
  }
};

}  // namespace varve::cuda
