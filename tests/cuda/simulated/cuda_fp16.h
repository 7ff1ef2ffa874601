// The device's conversions of f16.
#pragma once

#include <varve/core/dtype.h>

struct __half {
  uint16_t bits;
};
inline uint16_t __half_as_ushort(__half x) { return x.bits; }
inline __half __ushort_as_half(uint16_t bits) { return {bits}; }
inline __half __float2half_rn(float x) { return {varve::Half(x).bits}; }
inline __half __double2half(double x) { return {varve::Half(x).bits}; }
inline __half __ll2half_rn(long long x) { return {varve::Half(int64_t{x}).bits}; }
inline __half __ull2half_rn(unsigned long long x) { return {varve::Half(uint64_t{x}).bits}; }
inline float __half2float(__half x) { return std::bit_cast<varve::Half>(x); }
