// IDX files: every type and rank round-trips, plain and compressed; anything cut, longer or wrong is an
// error.
#include <varve/data/idx.h>

#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>

#include "tests/fixture.h"
#include "tests/io/temporary_folder.h"

using namespace varve;

namespace {

std::string write(const test::TemporaryFolder& folder, const std::string& bytes) {
  test::put(folder / "file", test::bytes_of(bytes));
  return folder / "file";
}

uint32_t crc32(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1u ? 0xEDB88320u : 0);
  }
  return ~crc;
}

std::string little_endian(uint32_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i);
  return out;
}

// A gzip stream (RFC 1952) of one stored block, so that the test needs no compressor.
std::string gzip(const std::string& bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  return std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", 11) + little_endian(size, 2) +
         little_endian(~size, 2) + bytes + little_endian(crc32(bytes), 4) + little_endian(size, 4);
}

template <class T>
std::string big_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  if (std::endian::native == std::endian::little) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

std::string header(char type, const std::vector<uint32_t>& sizes) {
  std::string out{'\0', '\0', type, static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) out += big_endian(size);
  return out;
}

template <Element T>
std::string encode(char type, const Tensor& t) {
  std::string out = header(type, std::vector<uint32_t>(t.shape().begin(), t.shape().end()));
  for (const T value : t.data<T>()) out += big_endian(value);
  return out;
}

template <Element T>
void round_trip(char type) {
  const test::TemporaryFolder folder;
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{7}, Shape{2, 3}, Shape{3, 1, 2, 2}}) {
    const auto count = static_cast<double>(numel(shape));
    const Tensor t = reshape(cast(arange(0, count, 1, DType::f64) * 1.375 - 3, dtype_of<T>), shape);
    const std::string bytes = encode<T>(type, t);
    CHECK(test::identical(data::read_idx(write(folder, bytes)), t));
    CHECK(test::identical(data::read_idx(write(folder, gzip(bytes))), t));
  }
}

// The byte a FormatError points at, or -1 if the file is read.
int64_t fault(const test::TemporaryFolder& folder, const std::string& bytes) {
  try {
    data::read_idx(write(folder, bytes));
  } catch (const FormatError& e) {
    CHECK(std::string(e.what()).find("idx: ") != std::string::npos);
    return static_cast<int64_t>(e.offset());
  }
  return -1;
}

}  // namespace

TEST_CASE("every IDX type is read, plain and compressed") {
  round_trip<uint8_t>(0x08);
  round_trip<int8_t>(0x09);
  round_trip<int16_t>(0x0B);
  round_trip<int32_t>(0x0C);
  round_trip<float>(0x0D);
  round_trip<double>(0x0E);
}

TEST_CASE("an IDX file cut at any byte, or with one too many, is an error that says where") {
  const test::TemporaryFolder folder;
  const std::string whole = encode<int16_t>(0x0B, reshape(arange(0, 12, 1, DType::i16), {2, 3, 2}));
  REQUIRE(fault(folder, whole) == -1);
  for (size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    if (length > 0) CHECK(fault(folder, whole.substr(0, length)) == static_cast<int64_t>(length));
    if (length == 0) CHECK_THROWS_AS(data::read_idx(write(folder, "")), Error);
  }
  CHECK(fault(folder, whole + '\0') == static_cast<int64_t>(whole.size()));
}

TEST_CASE("an IDX file cut within its gzip stream is an error") {
  const test::TemporaryFolder folder;
  const std::string whole = gzip(encode<uint8_t>(0x08, full({50}, 7, DType::u8)));
  REQUIRE(fault(folder, whole) == -1);
  for (size_t length = 2; length < whole.size(); ++length)
    CHECK_THROWS_AS(data::read_idx(write(folder, whole.substr(0, length))), FormatError);
}

TEST_CASE("a wrong magic number is an error at its byte") {
  const test::TemporaryFolder folder;
  const std::string payload(6, '\1');
  for (int type = 0; type < 256; ++type) {
    const bool known = type >= 0x08 && type <= 0x0E && type != 0x0A;
    if (!known) CHECK(fault(folder, header(static_cast<char>(type), {2, 3}) + payload) == 2);
  }
  CHECK(fault(folder, std::string("\1\0\x08\0x", 5)) == 0);
  CHECK(fault(folder, std::string("\0\1\x08\0x", 5)) == 0);
  CHECK(fault(folder, header(0x08, std::vector<uint32_t>(9, 1)) + '\0') == 3);
}

TEST_CASE("sizes that overflow or promise more than the file holds are errors, and allocate nothing") {
  const test::TemporaryFolder folder;
  const std::string payload(16, '\1');
  CHECK(fault(folder, header(0x08, {0xFFFFFFFF}) + payload) == 24);
  CHECK(fault(folder, header(0x0E, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}) + payload) == 4);
  CHECK(fault(folder, header(0x08, {0x10000, 0x10000, 0x10000, 0x10000}) + payload) == 4);  // 2^64 bytes
  std::vector<uint32_t> none(8, 0xFFFFFFFF);
  none.back() = 0;
  CHECK(fault(folder, header(0x08, none)) == 4);
  CHECK(fault(folder, header(0x08, {0}) + payload) == 8);
  CHECK_THROWS_AS(data::read_idx("/nonexistent/file"), IoError);
}

TEST_CASE("what inflates to more than its header declares is refused as soon as that shows") {
  const test::TemporaryFolder folder;
  const size_t bomb = size_t{64} << 20;
  const std::string small = header(0x08, {2, 3}) + std::string(6, '\1');
  const gzFile out = ::gzopen((folder / "file").c_str(), "wb1");
  REQUIRE(::gzwrite(out, small.data(), static_cast<unsigned>(small.size())) > 0);
  const std::string zeros(size_t{1} << 20, '\0');
  for (size_t written = 0; written < bomb; written += zeros.size())
    REQUIRE(::gzwrite(out, zeros.data(), static_cast<unsigned>(zeros.size())) > 0);
  REQUIRE(::gzclose(out) == Z_OK);
  // Its checksum is wrong, which only a reader that inflates all of it finds out.
  io::Bytes bytes = test::contents(folder / "file");
  REQUIRE(bytes.size() < bomb / 100);
  bytes[bytes.size() - 8] ^= std::byte{1};
  test::put(folder / "file", bytes);
  CHECK_THROWS_WITH_AS(data::read_idx(folder / "file"),
                       doctest::Contains("idx: more bytes follow the header"), FormatError);
}
