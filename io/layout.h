// The fixed parts of a .varve file: header, footer, records, and where things lie. docs/format.md specifies
// them; every sum and product of sizes here is checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <varve/core/error.h>
#include <varve/io/checksum.h>

namespace varve::io {

// PNG's trick: a byte above 127, CR LF, control-Z and LF, so that every well-known damage by text mode shows.
inline constexpr std::array<uint8_t, 8> kMagic{0x89, 'V', 'R', 'V', '\r', '\n', 0x1a, '\n'};
inline constexpr uint16_t kMajor = 1, kMinor = 0;
inline constexpr uint32_t kByteOrder = 0x01020304;
inline constexpr uint64_t kChunkBytes = uint64_t{1} << 20;  // what one checksum covers
inline constexpr uint64_t kMaxExpansion = 64;  // of a chunk by decoding: no small file fills memory
inline constexpr uint64_t kSmallAlignment = 64, kPage = 4096, kPagedFrom = 65536;

struct Header {
  std::array<uint8_t, 8> magic = kMagic;
  uint16_t major = kMajor, minor = kMinor;
  uint32_t byte_order = kByteOrder;
  uint64_t critical = 0;   // features without which the file cannot be read, by bit
  uint64_t ignorable = 0;  // features that may be skipped
  std::array<uint64_t, 3> reserved{};
  uint64_t checksum = 0;  // of the bytes before it
};
static_assert(sizeof(Header) == 64);

struct Footer {
  uint64_t index_offset = 0, index_bytes = 0, index_checksum = 0;
  uint64_t file_bytes = 0;
  uint64_t header_checksum = 0;  // the header's, again
  std::array<uint64_t, 2> reserved{};
  uint64_t checksum = 0;  // of the bytes before it
};
static_assert(sizeof(Footer) == 64);

// What the checksum at the end of a header or footer is of: the bytes before it.
template <class Frame>
uint64_t own_checksum(const Frame& frame) {
  return checksum(std::as_bytes(std::span(&frame, 1)).first(sizeof frame - sizeof frame.checksum));
}

// Of a storage: how many bytes it has once decoded, and how its chunks are kept.
struct StorageRecord {
  uint64_t bytes = 0;
  uint32_t codec = 0;  // a Codec
  uint32_t width = 1;  // byte planes of a coded chunk
};
static_assert(sizeof(StorageRecord) == 16);

// Of kChunkBytes of a storage (the last chunk perhaps shorter).
struct ChunkRecord {
  uint64_t stored_bytes = 0;     // in the file
  uint64_t stored_checksum = 0;  // of those
  uint64_t checksum = 0;         // of the bytes they stand for
};
static_assert(sizeof(ChunkRecord) == 24);

constexpr uint64_t round_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}
// Where a storage begins when what is before it ends at `end`: large uncoded ones on a page, to be mapped.
constexpr uint64_t place(uint64_t end, uint64_t bytes, bool coded) {
  return round_up(end, bytes >= kPagedFrom && !coded ? kPage : kSmallAlignment);
}
constexpr uint64_t chunks_of(uint64_t bytes) { return bytes / kChunkBytes + (bytes % kChunkBytes != 0); }
// The fewest bytes that a coded chunk of n may take.
constexpr uint64_t fewest_stored(uint64_t n) { return (n + kMaxExpansion - 1) / kMaxExpansion; }

inline int64_t checked_add(int64_t a, int64_t b) {
  if (__builtin_add_overflow(a, b, &a)) throw Error("layout: a size is beyond 64 bits");
  return a;
}
inline int64_t checked_multiply(int64_t a, int64_t b) {
  if (__builtin_mul_overflow(a, b, &a)) throw Error("layout: a size is beyond 64 bits");
  return a;
}

}  // namespace varve::io
