// The pointwise family for one compute type: every function of core/pointwise_kernels.h that is for it.
#pragma once

#include <algorithm>

#include <varve/cuda/context.h>
#include <varve/cuda/pointwise.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/launch.cuh>
#include <varve/cuda/number.cuh>

namespace varve::cuda {

struct Constants {
  double values[pointwise::kMaxConstants];
};

template <class F>
Constants packed(const double* constants) {
  Constants c{};
  std::copy_n(constants, pointwise::constants_in<F>, c.values);
  return c;
}

template <class F, class T>
struct Function {
  using V = Number<T>;
  static constexpr int kIn = F::kAbout.inputs;
  static constexpr auto kIndices = std::make_index_sequence<kIn>{};
  using Y = decltype(pointwise::call_value(F{}, static_cast<const V*>(nullptr), kIndices));
  static constexpr int kOut = pointwise::kOutputsOf<Y>;

  static __device__ void apply(const F& f, const V (&x)[kIn], T (&y)[kOut]) {
    const Y result = pointwise::call_value(f, x, kIndices);
    if constexpr (kOut == 1)
      y[0] = plain<T>(result);
    else
#pragma unroll
      for (int k = 0; k < kOut; ++k) y[k] = plain<T>(result[k]);
  }
};

// Any strides, any dtypes.
template <class F, class T>
__global__ void __launch_bounds__(kThreads)
    pointwise_any(const __grid_constant__ Space space, const __grid_constant__ Constants constants) {
  take_turn();
  using Fn = Function<F, T>;
  const F f = pointwise::with_constants<F>(constants.values);
  for_each_index(space.total, [&](int64_t i) {
    int64_t at[Fn::kIn + Fn::kOut];
    locate(space, i, at);
    typename Fn::V x[Fn::kIn];
    T y[Fn::kOut];
#pragma unroll
    for (int k = 0; k < Fn::kIn; ++k) x[k] = load<T>(space.operand[k], at[k]);
    Fn::apply(f, x, y);
#pragma unroll
    for (int k = 0; k < Fn::kOut; ++k) store<T>(space.operand[Fn::kIn + k], at[Fn::kIn + k], y[k]);
  });
}

// One row of f32, four elements at a time; inputs of the mask are one number of any dtype.
template <class F>
__global__ void __launch_bounds__(kThreads)
    pointwise_row(const __grid_constant__ Space space, const __grid_constant__ Constants constants,
                  unsigned numbers) {
  take_turn();
  using Fn = Function<F, float>;
  const F f = pointwise::with_constants<F>(constants.values);
  float number[Fn::kIn];
#pragma unroll
  for (int k = 0; k < Fn::kIn; ++k) number[k] = (numbers >> k) & 1u ? load<float>(space.operand[k], 0) : 0.0f;
  const int64_t quads = space.total / 4;
  for_each_index(quads, [&](int64_t i) {
    float4 in[Fn::kIn], out[Fn::kOut];
#pragma unroll
    for (int k = 0; k < Fn::kIn; ++k)
      in[k] = (numbers >> k) & 1u ? make_float4(number[k], number[k], number[k], number[k])
                                  : reinterpret_cast<const float4*>(space.operand[k].data)[i];
    const auto lane = [&](float float4::*part) {
      typename Fn::V x[Fn::kIn];
      float y[Fn::kOut];
#pragma unroll
      for (int k = 0; k < Fn::kIn; ++k) x[k] = in[k].*part;
      Fn::apply(f, x, y);
#pragma unroll
      for (int k = 0; k < Fn::kOut; ++k) out[k].*part = y[k];
    };
    lane(&float4::x), lane(&float4::y), lane(&float4::z), lane(&float4::w);
#pragma unroll
    for (int k = 0; k < Fn::kOut; ++k) reinterpret_cast<float4*>(space.operand[Fn::kIn + k].data)[i] = out[k];
  });
  const int64_t last = quads * 4 + int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (last >= space.total) return;
  typename Fn::V x[Fn::kIn];
  float y[Fn::kOut];
#pragma unroll
  for (int k = 0; k < Fn::kIn; ++k)
    x[k] = (numbers >> k) & 1u ? number[k] : element<float>(space.operand[k], last);
  Fn::apply(f, x, y);
#pragma unroll
  for (int k = 0; k < Fn::kOut; ++k) element<float>(space.operand[Fn::kIn + k], last) = y[k];
}

template <class F, class T>
void start_any(Context& on, const Space& space, const double* constants) {
  start(on, space.total, pointwise_any<F, T>, space, packed<F>(constants));
}
template <class F>
void start_row(Context& on, const Space& space, const double* constants, unsigned numbers) {
  start(on, space.total / 4 + 1, pointwise_row<F>, space, packed<F>(constants), numbers);
}

// Fills the part of the table that is for compute type T.
template <class T>
void fill_table(PointwiseTable& table, Compute compute) {
  for_each_type(pointwise::Kernels{}, [&]<class F>() {
    if constexpr (std::is_floating_point_v<T> || F::kAbout.domain == pointwise::Domain::numeric)
      table.any[static_cast<size_t>(pointwise::id_of<F>)][static_cast<size_t>(compute)] = start_any<F, T>;
  });
}

}  // namespace varve::cuda
