// Elements of any dtype, read and written as one of the compute types (f32, f64, i64, u64).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <varve/core/converted.h>
#include <varve/cuda/space.h>

namespace varve::cuda {

// The sixteen-bit types, each rounded once.
template <class C>
__device__ uint16_t half_bits(C x) {
  if constexpr (std::is_same_v<C, float>)
    return __half_as_ushort(__float2half_rn(x));
  else if constexpr (std::is_same_v<C, double>)
    return __half_as_ushort(__double2half(x));
  else if constexpr (std::is_same_v<C, int64_t>)
    return __half_as_ushort(__ll2half_rn(x));
  else
    return __half_as_ushort(__ull2half_rn(x));
}
template <class C>
__device__ uint16_t bfloat16_bits(C x) {
  if constexpr (std::is_same_v<C, float>)
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
  else if constexpr (std::is_same_v<C, double>)
    return __bfloat16_as_ushort(__double2bfloat16(x));
  else if constexpr (std::is_same_v<C, int64_t>)
    return __bfloat16_as_ushort(__ll2bfloat16_rn(x));
  else
    return __bfloat16_as_ushort(__ull2bfloat16_rn(x));
}

template <class T>
__device__ T& element(const Operand& o, int64_t at) {
  return reinterpret_cast<T*>(o.data)[at];
}

template <class C>
__device__ C load(const Operand& o, int64_t at) {
  switch (o.dtype) {
    case DType::f32:
      return converted<C>(element<float>(o, at));
    case DType::f64:
      return converted<C>(element<double>(o, at));
    case DType::f16:
      return converted<C>(__half2float(__ushort_as_half(element<uint16_t>(o, at))));
    case DType::bf16:
      return converted<C>(__bfloat162float(__ushort_as_bfloat16(element<uint16_t>(o, at))));
    case DType::i8:
      return converted<C>(element<int8_t>(o, at));
    case DType::i16:
      return converted<C>(element<int16_t>(o, at));
    case DType::i32:
      return converted<C>(element<int32_t>(o, at));
    case DType::i64:
      return converted<C>(element<int64_t>(o, at));
    case DType::u8:
      return converted<C>(element<uint8_t>(o, at));
    case DType::u16:
      return converted<C>(element<uint16_t>(o, at));
    case DType::u32:
      return converted<C>(element<uint32_t>(o, at));
    case DType::u64:
      return converted<C>(element<uint64_t>(o, at));
    case DType::boolean:
      break;
  }
  return converted<C>(element<bool>(o, at));
}

template <class C>
__device__ void store(const Operand& o, int64_t at, C x) {
  switch (o.dtype) {
    case DType::f32:
      element<float>(o, at) = converted<float>(x);
      return;
    case DType::f64:
      element<double>(o, at) = converted<double>(x);
      return;
    case DType::f16:
      element<uint16_t>(o, at) = half_bits(x);
      return;
    case DType::bf16:
      element<uint16_t>(o, at) = bfloat16_bits(x);
      return;
    case DType::i8:
      element<int8_t>(o, at) = converted<int8_t>(x);
      return;
    case DType::i16:
      element<int16_t>(o, at) = converted<int16_t>(x);
      return;
    case DType::i32:
      element<int32_t>(o, at) = converted<int32_t>(x);
      return;
    case DType::i64:
      element<int64_t>(o, at) = converted<int64_t>(x);
      return;
    case DType::u8:
      element<uint8_t>(o, at) = converted<uint8_t>(x);
      return;
    case DType::u16:
      element<uint16_t>(o, at) = converted<uint16_t>(x);
      return;
    case DType::u32:
      element<uint32_t>(o, at) = converted<uint32_t>(x);
      return;
    case DType::u64:
      element<uint64_t>(o, at) = converted<uint64_t>(x);
      return;
    case DType::boolean:
      element<bool>(o, at) = converted<bool>(x);
      return;
  }
}

}  // namespace varve::cuda
