// Damage of every kind to a file that has every part: all of it is noticed, and none of it does harm.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/allocations.h"
#include "tests/io/forge.h"
#include "tests/io/samples.h"

using namespace varve;
using namespace varve::io;
using namespace varve::test;

namespace {

bool is_sound(std::span<const std::byte> file) {
  try {
    Reader(from_memory(file)).verify();
    return true;
  } catch (const FormatError&) {
    return false;
  }
}

}  // namespace

TEST_CASE("every bit flipped is noticed") {
  for (const Codec codec : kAllCodecs) {
    Bytes file = test::bytes_of(sample(), codec);
    REQUIRE(is_sound(file));
    for (size_t i = 0; i < file.size(); ++i)
      for (int bit = 0; bit < 8; ++bit) {
        file[i] ^= static_cast<std::byte>(1 << bit);
        if (is_sound(file)) FAIL_CHECK("bit ", bit, " of byte ", i, ", codec ", name_of(codec));
        file[i] ^= static_cast<std::byte>(1 << bit);
      }
  }
}

TEST_CASE("every cut is noticed, and everything added") {
  for (const Codec codec : kAllCodecs) {
    Bytes file = test::bytes_of(sample(), codec);
    for (size_t n = 0; n < file.size(); ++n)
      if (is_sound(std::span(file).first(n))) FAIL_CHECK("cut to ", n, " bytes");
    file.push_back(std::byte{0});
    CHECK(contains(refusal(file), "extended"));
    file.pop_back();
    Bytes twice = file;
    twice.insert(twice.end(), file.begin(), file.end());
    CHECK(!is_sound(twice));
  }
}

TEST_CASE("every sector zeroed is noticed, and every two swapped") {
  constexpr size_t kSector = 512;
  Container c = sample();
  c.tensors.add("big", weights({5000}, 7));
  for (const Codec codec : kAllCodecs) {
    const Bytes file = test::bytes_of(c, codec);
    const size_t sectors = (file.size() + kSector - 1) / kSector;
    const auto sector = [&](Bytes& in, size_t i) {
      return std::span(in).subspan(i * kSector, std::min(kSector, in.size() - i * kSector));
    };
    for (size_t i = 0; i < sectors; ++i) {
      Bytes changed = file;
      std::fill_n(sector(changed, i).begin(), sector(changed, i).size(), std::byte{});
      CHECK(is_sound(changed) == (changed == file));
      for (size_t j = 0; j < i; ++j) {
        changed = file;
        const auto a = sector(changed, i), b = sector(changed, j);
        std::swap_ranges(a.begin(), a.end(), b.begin());
        CHECK(is_sound(changed) == (changed == file));
      }
    }
  }
}

TEST_CASE("bits flipped beneath right checksums do no harm") {
  // What still reads well is well; what does not is a FormatError, never anything else, and never much
  // memory.
  for (const Codec codec : kAllCodecs) {
    const Bytes sound = test::bytes_of(sample({8, 8}, {4, 8}), codec);
    const size_t most = 4 * sound.size() + (size_t{16} << 20);
    size_t read = 0;
    allocations.largest = 0;
    for (size_t i = 0; i < sound.size(); ++i)
      for (int bit = 0; bit < 8; ++bit) {
        Bytes file = sound;
        file[i] ^= static_cast<std::byte>(1 << bit);
        file = repaired(std::move(file));
        try {
          const Container c = Reader(from_memory(file)).read();
          test::bytes_of(c);
          ++read;
        } catch (const FormatError&) {
        }
      }
    CHECK(allocations.largest > sound.size());  // it is looked at
    CHECK(allocations.largest <= most);
    CHECK(read > 0);
    CHECK(read < sound.size() * 8);
  }
}
