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

// Elements of f32, or where kHalves of f16 and bf16, too, not yet converted: so that many can be on their
// way.
template <bool kHalves>
struct Four {
  static constexpr bool is_half(DType dtype) { return kHalves && dtype != DType::f32; }
  uint4 bits;

  __device__ void load(const Operand& o, int64_t at) {
    if (is_half(o.dtype)) {
      const uint2 two = reinterpret_cast<const uint2&>(element<uint16_t>(o, at));
      bits = make_uint4(two.x & 0xffff, two.x >> 16, two.y & 0xffff, two.y >> 16);
    } else {
      bits = reinterpret_cast<const uint4&>(element<float>(o, at));
    }
  }
  // One number, of f64 as it may be, in the first two.
  __device__ void load_number(const Operand& o, int64_t at) {
    if (o.dtype == DType::f64)
      reinterpret_cast<uint2&>(bits) = reinterpret_cast<const uint2&>(element<double>(o, at));
    else
      bits.x = is_half(o.dtype) ? element<uint16_t>(o, at) : element<uint32_t>(o, at);
  }
  static __device__ float value(uint32_t word, DType dtype) {
    if (!is_half(dtype)) return __uint_as_float(word);
    if (dtype == DType::bf16) return __uint_as_float(word << 16);
    return __half2float(__ushort_as_half(static_cast<uint16_t>(word)));
  }
  __device__ float number(DType dtype) const {
    if (dtype != DType::f64) return value(bits.x, dtype);
    return static_cast<float>(__hiloint2double(static_cast<int>(bits.y), static_cast<int>(bits.x)));
  }
  static __device__ uint32_t word(float x, DType dtype) {
    if (!is_half(dtype)) return __float_as_uint(x);
    return dtype == DType::bf16 ? bfloat16_bits(x) : half_bits(x);
  }
  __device__ void store(const Operand& o, int64_t at) const {
    if (is_half(o.dtype))
      reinterpret_cast<uint2&>(element<uint16_t>(o, at)) =
          make_uint2(bits.x | bits.y << 16, bits.z | bits.w << 16);
    else
      reinterpret_cast<uint4&>(element<float>(o, at)) = bits;
  }
};

// Rows of such elements, four at a time; what is a number on each row may be one of f64.
template <class F, bool kHalves>
__global__ void __launch_bounds__(kThreads)
    pointwise_rows(const __grid_constant__ Space space, const __grid_constant__ Constants constants,
                   RowForm form) {
  take_turn();
  using Fn = Function<F, float>;
  using Some = Four<kHalves>;
  const F f = pointwise::with_constants<F>(constants.values);
  const auto dtype = [&](int k) { return space.operand[k].dtype; };
  const auto is_number = [&](int k) { return (form.numbers >> k & 1u) != 0; };
  const int64_t quads = space.total / 4;
  for_each_index(quads, [&](int64_t i) {
    const uint32_t row = form.quads ? static_cast<uint32_t>(i) / form.quads : 0;
    const int64_t column = 4 * (i - int64_t{row} * form.quads);
    const auto at = [&](int k) { return row * space.operand[k].strides[0]; };
    Some in[Fn::kIn], out[Fn::kOut];
#pragma unroll
    for (int k = 0; k < Fn::kIn; ++k)
      if (is_number(k))
        in[k].load_number(space.operand[k], at(k));
      else
        in[k].load(space.operand[k], at(k) + column);
    float number[Fn::kIn];
#pragma unroll
    for (int k = 0; k < Fn::kIn; ++k) number[k] = is_number(k) ? in[k].number(dtype(k)) : 0.0f;
    const auto lane = [&](uint32_t uint4::*part) {
      typename Fn::V x[Fn::kIn];
      float y[Fn::kOut];
#pragma unroll
      for (int k = 0; k < Fn::kIn; ++k)
        x[k] = is_number(k) ? number[k] : Some::value(in[k].bits.*part, dtype(k));
      Fn::apply(f, x, y);
#pragma unroll
      for (int k = 0; k < Fn::kOut; ++k) out[k].bits.*part = Some::word(y[k], dtype(Fn::kIn + k));
    };
    lane(&uint4::x), lane(&uint4::y), lane(&uint4::z), lane(&uint4::w);
#pragma unroll
    for (int k = 0; k < Fn::kOut; ++k) out[k].store(space.operand[Fn::kIn + k], at(Fn::kIn + k) + column);
  });
  const int64_t last = quads * 4 + int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (last >= space.total) return;  // of one row
  typename Fn::V x[Fn::kIn];
  float y[Fn::kOut];
#pragma unroll
  for (int k = 0; k < Fn::kIn; ++k) {
    Some one;
    one.load_number(space.operand[k], is_number(k) ? 0 : last);
    x[k] = one.number(dtype(k));
  }
  Fn::apply(f, x, y);
#pragma unroll
  for (int k = 0; k < Fn::kOut; ++k) {
    const Operand& o = space.operand[Fn::kIn + k];
    if (Some::is_half(o.dtype))
      element<uint16_t>(o, last) = static_cast<uint16_t>(Some::word(y[k], o.dtype));
    else
      element<float>(o, last) = y[k];
  }
}

template <class F, class T>
void start_any(Context& on, const Space& space, const double* constants) {
  start(on, space.total, pointwise_any<F, T>, space, packed<F>(constants));
}
template <class F, bool kHalves>
void start_rows(Context& on, const Space& space, const double* constants, const RowForm& form) {
  start(on, space.total / 4 + 1, pointwise_rows<F, kHalves>, space, packed<F>(constants), form);
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
