// ElementKind: what a file's tensors are made of: every dtype of core's, and kinds that are carried
// untouched. The numbers are the file's and never change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <varve/core/dtype.h>

namespace varve::io {

enum class ElementKind : uint8_t {
  f32 = 1,
  f64 = 2,
  f16 = 3,
  bf16 = 4,
  i8 = 5,
  i16 = 6,
  i32 = 7,
  i64 = 8,
  u8 = 9,
  u16 = 10,
  u32 = 11,
  u64 = 12,
  boolean = 13,
  complex64 = 14,   // two f32: real, imaginary
  complex128 = 15,  // two f64
  // 8 bits and fewer, as the OCP formats (OFP8, MX) and their variants without negative zero name them.
  f8_e4m3fn = 16,
  f8_e5m2 = 17,
  f8_e4m3fnuz = 18,
  f8_e5m2fnuz = 19,
  f8_e8m0fnu = 20,
  f6_e2m3fn = 21,
  f6_e3m2fn = 22,
  f4_e2m1fn = 23,
  i4 = 24,
  u4 = 25,
};

// What a file says of a kind. Kinds of less than 8 bits are packed without gaps, the first in the lowest
// bits.
struct ElementInfo {
  std::string_view name;  // "f32", ..., "bool", "complex64", "f8_e4m3fn", ...
  int bits = 0;           // of one element
  int plane_bytes = 0;    // of the numbers it is made of: what a codec separates
  std::optional<DType> dtype;
};
// Null for a number that is no kind.
VARVE_API const ElementInfo* info_of(ElementKind kind);
VARVE_API ElementKind element_of(DType dtype);
VARVE_API std::optional<ElementKind> element_named(std::string_view name);

// What core calls the kind of the tensor `name` in `file`; a DTypeError where it is only carried.
VARVE_API DType computed_dtype(ElementKind kind, std::string_view name, std::string_view file);

// The bytes of `count` elements, the last one filled up with zero bits.
constexpr int64_t packed_bytes(int64_t count, int bits) {
  return count / 8 * bits + (count % 8 * bits + 7) / 8;  // count * bits could leave 64 bits
}

// How many bits of the last byte those are.
constexpr int spare_bits(int64_t count, int bits) { return static_cast<int>((8 - count % 8 * bits % 8) % 8); }

// What bytes may not hold. Of bools: anything but 0 and 1, which would be undefined behaviour in whoever
// reads it.
VARVE_API bool are_truths(std::span<const std::byte> bytes);
// Of the last byte: bits above its last element.
constexpr bool are_spare(std::byte last, int spare_bits) {
  return spare_bits == 0 || (last >> (8 - spare_bits)) == std::byte{};
}

}  // namespace varve::io
