// ByteReader and ByteWriter: little-endian numbers and byte strings in memory. Reading never passes the end:
// every length is compared with what is left before it is used.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <varve/core/error.h>
#include <varve/io/meta.h>

namespace varve::io {

static_assert(std::endian::native == std::endian::little, "tensor data is stored as it lies in memory");

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Names, keys and strings: UTF-8 (RFC 3629) without a NUL, which other languages could not hold.
VARVE_API bool is_text(std::string_view bytes);

class VARVE_API ByteWriter {
 public:
  template <class T>
  requires std::is_arithmetic_v<T>
  void number(T value) { raw(std::as_bytes(std::span(&value, 1))); }
  void raw(std::span<const std::byte> bytes);
  // The length as u64, then the bytes.
  void counted(std::span<const std::byte> bytes) {
    number(uint64_t{bytes.size()});
    raw(bytes);
  }
  // The same of text; an Error where it is none.
  void text(std::string_view text);
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  // A number, or a record of them.
  template <class T>
  requires std::is_trivially_copyable_v<T> T number() {
    T value;
    std::memcpy(&value, raw(sizeof value).data(), sizeof value);
    return value;
  }
  std::span<const std::byte> raw(uint64_t count) {
    if (count > left())
      fail(std::to_string(count) + " bytes are announced, " + std::to_string(left()) + " are left");
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  std::span<const std::byte> counted() { return raw(number<uint64_t>()); }
  std::string_view text();  // counted, and checked
  // A u64 count of things that take at least `each` bytes.
  uint64_t count(size_t each) {
    const auto n = number<uint64_t>();
    if (n > left() / each)
      fail(std::to_string(n) + " entries are announced, " + std::to_string(left()) + " bytes are left");
    return n;
  }
  [[noreturn]] void fail(const std::string& found) const {
    throw Error("decode: at byte " + std::to_string(at_) + ": " + found + "; the bytes are damaged");
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

}  // namespace varve::io
