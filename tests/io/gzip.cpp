// gzip files: inflated whole and checked, or refused.
#include <varve/io/gzip.h>

#include <doctest/doctest.h>
#include <zlib.h>

#include "tests/io/temporary_folder.h"

#include <random>

using namespace varve;
using io::Bytes;
using test::put;

namespace {

constexpr uint64_t kAll = ~uint64_t{0};

Bytes compressed(const Bytes& bytes) {
  z_stream stream{};
  REQUIRE(::deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out(::deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

Bytes noise(size_t size, uint32_t seed, int values = 256) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() % static_cast<uint32_t>(values));
  return bytes;
}

}  // namespace

TEST_CASE("plain files are read as they are") {
  const test::TemporaryFolder folder;
  for (const size_t size : {0, 1, 2, 100'000}) {
    const Bytes bytes = noise(size, 1, 16);
    put(folder / "a", bytes);
    CHECK(io::read_start(folder / "a", kAll) == bytes);
  }
  CHECK_THROWS_AS(io::read_start(folder / "none", kAll), IoError);
  CHECK_THROWS_AS(io::read_start(folder / "", kAll), IoError);
}

TEST_CASE("gzip files of every size are inflated") {
  const test::TemporaryFolder folder;
  for (const size_t size : {0, 1, 65535, 65536, 65537, 300'000})
    for (const int values : {1, 20, 256}) {
      const Bytes bytes = noise(size, 2, values);
      put(folder / "a.gz", compressed(bytes));
      REQUIRE(io::read_start(folder / "a.gz", kAll) == bytes);
    }
}

TEST_CASE("several members become one") {
  const test::TemporaryFolder folder;
  Bytes file, expected;
  for (const size_t size : {10, 0, 65536, 70'000}) {
    const Bytes bytes = noise(size, 3, 9), member = compressed(bytes);
    file.insert(file.end(), member.begin(), member.end());
    expected.insert(expected.end(), bytes.begin(), bytes.end());
  }
  put(folder / "a.gz", file);
  CHECK(io::read_start(folder / "a.gz", kAll) == expected);
  file.push_back(std::byte{'x'});
  put(folder / "a.gz", file);
  CHECK_THROWS_AS(io::read_start(folder / "a.gz", kAll), FormatError);
}

TEST_CASE("gzip data cut at any length is refused") {
  const test::TemporaryFolder folder;
  const Bytes file = compressed(noise(200, 4, 30));
  for (size_t n = 2; n < file.size(); ++n) {
    put(folder / "a.gz", std::span(file).first(n));
    CAPTURE(n);
    REQUIRE_THROWS_AS(io::read_start(folder / "a.gz", kAll), FormatError);
  }
}

TEST_CASE("gzip data with any byte changed is refused, or it was one that says nothing of the data") {
  const test::TemporaryFolder folder;
  const Bytes bytes = noise(200, 5, 30), file = compressed(bytes);
  for (size_t i = 2; i < file.size(); ++i) {
    Bytes damaged = file;
    damaged[i] ^= std::byte{0xff};
    put(folder / "a.gz", damaged);
    CAPTURE(i);
    try {
      const Bytes found = io::read_start(folder / "a.gz", kAll);
      REQUIRE(found == bytes);
      REQUIRE(i < 10);  // time, system: in the header
    } catch (const FormatError&) {
    }
  }
}

TEST_CASE("no more is read or inflated than asked for") {
  const test::TemporaryFolder folder;
  const Bytes bytes = noise(300'000, 6, 9);
  Bytes twice = compressed(bytes), damaged = twice;
  damaged[damaged.size() - 20] ^= std::byte{0xff};  // read to its end, it would be refused
  twice.insert(twice.end(), damaged.begin(), damaged.end());
  put(folder / "plain", bytes);
  put(folder / "once.gz", damaged);
  put(folder / "twice.gz", twice);
  for (const size_t count : {0, 1, 2, 3, 1000, 65535, 65536, 65537, 200'000}) {
    CAPTURE(count);
    const Bytes start(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    CHECK(io::read_start(folder / "plain", count) == start);
    CHECK(io::read_start(folder / "once.gz", count) == start);
  }
  CHECK(io::read_start(folder / "twice.gz", bytes.size()) == bytes);
  CHECK(io::read_start(folder / "twice.gz", bytes.size() + 1000).size() == bytes.size() + 1000);
  CHECK_THROWS_AS(io::read_start(folder / "once.gz", kAll), FormatError);
  CHECK_THROWS_AS(io::read_start(folder / "twice.gz", kAll), FormatError);
}
