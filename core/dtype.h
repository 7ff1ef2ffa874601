// Element types: the closed set a tensor can hold, and the C++ type of each.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <varve/core/export.h>

namespace varve {

enum class DType : uint8_t { f32, f64, f16, bf16, i8, i16, i32, i64, u8, u16, u32, u64, boolean };
inline constexpr size_t kDTypes = 13, kFloatings = 4;  // the floating ones come first

namespace detail {
// y - x, where y is the float nearest to x: 0 only where they are equal.
template <class Number>
double excess(float y, Number x) {
  if constexpr (std::is_integral_v<Number>) {  // in halves of 32 bits, so that every step is exact
    using Wide = std::conditional_t<std::is_signed_v<Number>, int64_t, uint64_t>;
    const double high = static_cast<double>(static_cast<Wide>(x) >> 32) * 0x1p32;
    return (y - high) - static_cast<double>(static_cast<uint32_t>(x));
  } else {
    return y - x;
  }
}
// x as a float that rounds to fewer digits as x itself does: where digits are lost, the last bit is odd
// (Boldo and Melquiond, "When double rounding is odd", IMACS 2005).
template <class Number>
float rounded_to_odd(Number x) {
  const auto y = static_cast<float>(x);
  const double over = excess(y, x);
  const auto bits = std::bit_cast<uint32_t>(y);
  if (over == 0 || over != over || (bits & 1u)) return y;
  const bool towards_zero = (over < 0) == (x > 0);
  return std::bit_cast<float>(towards_zero ? bits + 1 : bits - 1);
}
template <class T>
concept Arithmetic = std::is_arithmetic_v<T>;
}  // namespace detail

// IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. Stored, not computed with.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  inline explicit Half(float value);
  explicit Half(detail::Arithmetic auto value) : Half(detail::rounded_to_odd(value)) {}
  inline operator float() const;
};

// bfloat16: the upper half of a binary32. Stored, not computed with.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  inline explicit BFloat16(float value);
  explicit BFloat16(detail::Arithmetic auto value) : BFloat16(detail::rounded_to_odd(value)) {}
  operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

// Calls f.template operator()<T>() with the C++ type of `dtype`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::f64:
      return f.template operator()<double>();
    case DType::f16:
      return f.template operator()<Half>();
    case DType::bf16:
      return f.template operator()<BFloat16>();
    case DType::i8:
      return f.template operator()<int8_t>();
    case DType::i16:
      return f.template operator()<int16_t>();
    case DType::i32:
      return f.template operator()<int32_t>();
    case DType::i64:
      return f.template operator()<int64_t>();
    case DType::u8:
      return f.template operator()<uint8_t>();
    case DType::u16:
      return f.template operator()<uint16_t>();
    case DType::u32:
      return f.template operator()<uint32_t>();
    case DType::u64:
      return f.template operator()<uint64_t>();
    case DType::boolean:
      break;
  }
  return f.template operator()<bool>();
}

namespace detail {
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct DTypeOf<int16_t> {
  static constexpr DType value = DType::i16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<uint16_t> {
  static constexpr DType value = DType::u16;
};
template <>
struct DTypeOf<uint32_t> {
  static constexpr DType value = DType::u32;
};
template <>
struct DTypeOf<uint64_t> {
  static constexpr DType value = DType::u64;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};
}  // namespace detail

template <class T>
inline constexpr DType dtype_of = detail::DTypeOf<T>::value;

// A C++ type that can be a tensor's element.
template <class T>
concept Element = requires {
  detail::DTypeOf<T>::value;
};

inline constexpr std::array<uint8_t, kDTypes> kElementBytes{4, 8, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1};
constexpr size_t size_of(DType dtype) { return kElementBytes[static_cast<size_t>(dtype)]; }
constexpr bool is_floating(DType dtype) { return static_cast<size_t>(dtype) < kFloatings; }
constexpr bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }
constexpr bool is_unsigned(DType dtype) { return dtype >= DType::u8; }  // bool counts: 0 or 1

VARVE_API std::string_view name_of(DType dtype);     // "f32", ..., "bool"
VARVE_API DType dtype_named(std::string_view name);  // DTypeError if unknown

// The type a kernel computes in: f16 and bf16 go through f32, small integers through 64 bits.
enum class Compute : uint8_t { f32, f64, i64, u64 };
inline constexpr size_t kComputes = 4;
constexpr Compute compute_of(DType dtype) {
  if (dtype == DType::f64) return Compute::f64;
  if (is_floating(dtype)) return Compute::f32;
  return dtype == DType::u64 ? Compute::u64 : Compute::i64;
}
inline constexpr std::array<DType, kComputes> kComputeTypes{DType::f32, DType::f64, DType::i64, DType::u64};
constexpr DType dtype_of_compute(Compute c) { return kComputeTypes[static_cast<size_t>(c)]; }

// Rounds to nearest, ties to even; overflow becomes infinity, NaN stays NaN.
Half::Half(float value) {
  const auto f = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (f >> 16) & 0x8000u, magnitude = f & 0x7fffffffu;
  if (magnitude >= 0x7f800000u) {  // infinity or NaN
    bits = static_cast<uint16_t>(sign | 0x7c00u | (magnitude > 0x7f800000u ? 0x200u : 0u));
  } else if (magnitude >= 0x38800000u) {  // normal in binary16, or too large for it
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    bits = static_cast<uint16_t>(sign | (rounded >= 0x47800000u ? 0x7c00u : (rounded - 0x38000000u) >> 13));
  } else {  // subnormal: adding 0.5 aligns the fraction so that the hardware rounds it
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(aligned) - 0x3f000000u));
  }
}

// Without a branch, so that loops over it become vectors.
Half::operator float() const {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16, magnitude = bits & 0x7fffu;
  // Scaling by 2^112 moves the exponent bias from 15 to 127, and makes subnormals normal.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const uint32_t endless = magnitude >= 0x7c00u ? 0x7f800000u : 0u;  // the exponent of infinity and NaN
  return std::bit_cast<float>(sign | endless | std::bit_cast<uint32_t>(scaled));
}

BFloat16::BFloat16(float value) {
  const auto f = std::bit_cast<uint32_t>(value);
  const bool nan = (f & 0x7fffffffu) > 0x7f800000u;
  bits = static_cast<uint16_t>(nan ? (f >> 16) | 0x40u : (f + 0x7fffu + ((f >> 16) & 1u)) >> 16);
}

}  // namespace varve
