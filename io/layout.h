// The fixed parts of a .varve file: header, footer, alignment, chunks, and what a view may reach.
// docs/format.md specifies them; every sum and product of sizes here is checked.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <varve/core/dtype.h>
#include <varve/core/error.h>
#include <varve/core/shape.h>

namespace varve::io {

// PNG's trick: a byte above 127, CR LF, control-Z and LF, so that every well-known damage by text mode shows.
inline constexpr std::array<uint8_t, 8> kMagic{0x89, 'V', 'R', 'V', '\r', '\n', 0x1a, '\n'};
inline constexpr uint16_t kMajor = 0, kMinor = 1;
inline constexpr uint32_t kByteOrder = 0x01020304;
inline constexpr uint64_t kChunkBytes = uint64_t{1} << 20;  // what one checksum covers

struct Header {
  std::array<uint8_t, 8> magic = kMagic;
  uint16_t major = kMajor, minor = kMinor;
  uint32_t byte_order = kByteOrder;
};
static_assert(sizeof(Header) == 16);

struct Footer {
  uint64_t index_offset = 0, index_bytes = 0, index_checksum = 0;
  uint64_t file_bytes = 0;
  uint64_t checksum = 0;  // of the header, and of the footer before it
};
static_assert(sizeof(Footer) == 40);

// What Footer::checksum is taken of.
using Frame = std::array<std::byte, sizeof(Header) + sizeof(Footer) - sizeof(uint64_t)>;
inline Frame frame(const Header& header, const Footer& footer) {
  Frame bytes;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &footer, bytes.size() - sizeof header);
  return bytes;
}

// Where a storage of `bytes` lies when what is before it ends at `end`: large ones on a page, to be mapped.
inline constexpr uint64_t place(uint64_t end, uint64_t bytes) {
  const uint64_t alignment = bytes >= 65536 ? 4096 : 64;
  return (end + alignment - 1) / alignment * alignment;
}

inline constexpr uint64_t chunks(uint64_t bytes) { return (bytes + kChunkBytes - 1) / kChunkBytes; }

inline int64_t checked_add(int64_t a, int64_t b) {
  if (__builtin_add_overflow(a, b, &a)) throw Error("layout: a size is beyond 64 bits");
  return a;
}
inline int64_t checked_multiply(int64_t a, int64_t b) {
  if (__builtin_mul_overflow(a, b, &a)) throw Error("layout: a size is beyond 64 bits");
  return a;
}

// The bytes that a view reaches, from low to below high; empty at its offset if it has no elements.
struct Extent {
  int64_t low = 0, high = 0;
  int64_t bytes() const { return high - low; }
};
inline Extent extent_of(int64_t offset, DType dtype, const Shape& shape, const Strides& strides) {
  const auto size = static_cast<int64_t>(size_of(dtype));
  if (numel(shape) == 0) return {offset, offset};
  Extent extent{offset, checked_add(offset, size)};
  for (int i = 0; i < shape.rank(); ++i) {
    const int64_t span = checked_multiply(checked_multiply(shape[i] - 1, strides[i]), size);
    (span < 0 ? extent.low : extent.high) = checked_add(span < 0 ? extent.low : extent.high, span);
  }
  return extent;
}

}  // namespace varve::io
