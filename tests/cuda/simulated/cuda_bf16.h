// The device's conversions of bf16.
#pragma once

#include <varve/core/dtype.h>

struct __nv_bfloat16 {
  uint16_t bits;
};
inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(uint16_t bits) { return {bits}; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return {varve::BFloat16(x).bits}; }
inline __nv_bfloat16 __double2bfloat16(double x) { return {varve::BFloat16(x).bits}; }
inline __nv_bfloat16 __ll2bfloat16_rn(long long x) { return {varve::BFloat16(int64_t{x}).bits}; }
inline __nv_bfloat16 __ull2bfloat16_rn(unsigned long long x) { return {varve::BFloat16(uint64_t{x}).bits}; }
inline float __bfloat162float(__nv_bfloat16 x) { return std::bit_cast<varve::BFloat16>(x); }
