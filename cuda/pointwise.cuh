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

// The number at an element of f32, or of f64 where `wide`, not yet converted: so that many can be on their
// way.
__device__ inline uint64_t number_bits(const Operand& o, int64_t at, bool wide) {
  return wide ? element<uint64_t>(o, at) : element<uint32_t>(o, at);
}
__device__ inline float number_of(uint64_t bits, bool wide) {
  return wide ? static_cast<float>(__longlong_as_double(static_cast<int64_t>(bits)))
              : __uint_as_float(static_cast<uint32_t>(bits));
}

// Rows of f32, four elements at a time; what is a number on each row is one of f32 or f64.
template <class F>
__global__ void __launch_bounds__(kThreads)
    pointwise_rows(const __grid_constant__ Space space, const __grid_constant__ Constants constants,
                   RowForm form) {
  take_turn();
  using Fn = Function<F, float>;
  const F f = pointwise::with_constants<F>(constants.values);
  const auto is_number = [&](int k) { return (form.numbers >> k & 1u) != 0; };
  const auto is_wide = [&](int k) { return (form.wide >> k & 1u) != 0; };
  const int64_t quads = space.total / 4;
  for_each_index(quads, [&](int64_t i) {
    const uint32_t row = form.quads ? static_cast<uint32_t>(i) / form.quads : 0;
    const int64_t column = 4 * (i - int64_t{row} * form.quads);
    const auto at = [&](int k) { return row * space.operand[k].strides[0]; };
    float4 in[Fn::kIn], out[Fn::kOut];
    uint64_t bits[Fn::kIn];
#pragma unroll
    for (int k = 0; k < Fn::kIn; ++k)
      if (is_number(k))
        bits[k] = number_bits(space.operand[k], at(k), is_wide(k));
      else
        in[k] = reinterpret_cast<const float4&>(element<float>(space.operand[k], at(k) + column));
#pragma unroll
    for (int k = 0; k < Fn::kIn; ++k)
      if (is_number(k)) {
        const float x = number_of(bits[k], is_wide(k));
        in[k] = make_float4(x, x, x, x);
      }
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
    for (int k = 0; k < Fn::kOut; ++k)
      reinterpret_cast<float4&>(element<float>(space.operand[Fn::kIn + k], at(Fn::kIn + k) + column)) =
          out[k];
  });
  const int64_t last = quads * 4 + int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (last >= space.total) return;  // of one row
  typename Fn::V x[Fn::kIn];
  float y[Fn::kOut];
#pragma unroll
  for (int k = 0; k < Fn::kIn; ++k)
    x[k] = is_number(k) ? number_of(number_bits(space.operand[k], 0, is_wide(k)), is_wide(k))
                        : element<float>(space.operand[k], last);
  Fn::apply(f, x, y);
#pragma unroll
  for (int k = 0; k < Fn::kOut; ++k) element<float>(space.operand[Fn::kIn + k], last) = y[k];
}

template <class F, class T>
void start_any(Context& on, const Space& space, const double* constants) {
  start(on, space.total, pointwise_any<F, T>, space, packed<F>(constants));
}
template <class F>
void start_rows(Context& on, const Space& space, const double* constants, const RowForm& form) {
  start(on, space.total / 4 + 1, pointwise_rows<F>, space, packed<F>(constants), form);
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
