// Files whose checksums are right and whose content is not: each is refused, by what is wrong.
#include <doctest/doctest.h>

#include <functional>
#include <limits>

#include "tests/io/forge.h"
#include "tests/io/samples.h"

using namespace varve;
using namespace varve::io;
using namespace varve::test;

namespace {

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max() / 2;

TensorEntry view(const Shape& shape, const Strides& strides, int64_t offset = 0,
                 ElementKind kind = ElementKind::f32, uint64_t storage = 0) {
  return {"w", kind, shape, strides, storage, offset};
}

// One storage of 32 bytes, each `fill`.
Forged file_with(const TensorEntry& entry, int fill = 0) {
  Forged f;
  f.data = Bytes(64, static_cast<std::byte>(fill));
  std::fill(f.data.begin() + 32, f.data.end(), std::byte{});
  Index index;
  index.kind = "state_dict";
  index.storages = {{32, Codec::none, 1, 64, 32, 0}};
  const uint64_t sum = checksum(std::span(f.data).first(32));
  index.chunks = {{32, sum, sum}};
  index.tensors = {entry};
  f.index = encode_index(index);
  return f;
}

std::string refusal_of(const TensorEntry& entry) { return refusal(file_with(entry).file()); }

// The same file, its index changed.
std::string refusal_of(const std::function<void(Index&)>& change) {
  Forged f = file_with(view({8}, {1}));
  Index index = decode_index(f.index, 0, 0);
  change(index);
  f.index = encode_index(index);
  return refusal(f.file());
}

Bytes section(std::string_view name, uint8_t critical, const Bytes& body) {
  ByteWriter out;
  out.counted(std::as_bytes(std::span(name)));
  out.number(critical);
  out.counted(body);
  return out.take();
}

}  // namespace

TEST_CASE("a sound forged file is read: the next tests forge wrong ones the same way") {
  CHECK(refusal_of(view({2, 4}, {4, 1})) == "accepted");
  CHECK(refusal_of(view({2, 4}, {-4, 1}, 16)) == "accepted");
  CHECK(refusal_of(view({4}, {1}, 0, ElementKind::complex64)) == "accepted");
  CHECK(refusal_of(view({64}, {1}, 0, ElementKind::i4)) == "accepted");
}

TEST_CASE("views that leave their storage are refused by name") {
  const TensorEntry wrong[] = {
      view({9}, {1}),
      view({2}, {8}),
      view({2}, {-1}),
      view({1}, {1}, -4),
      view({1}, {1}, 32),
      view({1}, {1}, 2),
      view({0}, {1}, 36),
      view({kHuge}, {0}),
      view({1000}, {0}),
      view({2}, {kHuge}),
      view({kHuge, kHuge}, {0, 0}),
      view({0, kHuge, kHuge}, {0, 0, 0}),
      view({0, 2}, {7, 7}),
      view({-1}, {1}),
      view({1}, {1}, 0, ElementKind::f32, 1),
      view({1}, {1}, 0, ElementKind::f32, ~uint64_t{0}),
      view({1}, {1}, 0, static_cast<ElementKind>(0)),
      view({1}, {1}, 0, static_cast<ElementKind>(26)),
      view({1}, {1}, 0, static_cast<ElementKind>(255)),
      view({1}, {1}, std::numeric_limits<int64_t>::max() - 3),
      view({5}, {1}, 0, ElementKind::complex64),
      view({2, 2}, {1, 2}, 0, ElementKind::complex64),
      view({65}, {1}, 0, ElementKind::i4),
      view({64}, {1}, 1, ElementKind::i4),
      view({kHuge}, {1}, 0, ElementKind::i4),
      view({kHuge}, {1}, 0, ElementKind::complex128),
      view({4, kHuge}, {1, 1}, 0, ElementKind::complex64),
      view({3}, {1}, 0, ElementKind::complex64),  // not all of its storage
      view({2}, {1}, 16, ElementKind::complex64),
      view({0}, {1}, 0, ElementKind::complex64),
      view({0}, {1}),  // not in an empty storage of its own
      view({0}, {1}, 32),
      view({1, 8}, {7, 1}),  // an axis of one element takes no step
      view({8, 1}, {1, 8}),
      view({1}, {std::numeric_limits<int64_t>::min()}),
      view({2, 8}, {0, 1}),  // elements in one place
      view({2, 2}, {7, 7}, 0, ElementKind::i8),
      view({4, 7}, {1, 1}, 0, ElementKind::i8),
  };
  for (const TensorEntry& entry : wrong) {
    CAPTURE(to_string(entry.shape));
    CAPTURE(to_string(entry.strides));
    CHECK(contains(refusal_of(entry), "tensor 'w'"));
  }
  CHECK(contains(refusal_of(wrong[17]), "element kind 26 is unknown"));
}

TEST_CASE("bytes before and after all that a storage's tensors show are refused") {
  CHECK(
      contains(refusal_of(view({31}, {1}, 1, ElementKind::i8)), "its tensors reach from byte 1 to 32 of 32"));
  CHECK(contains(refusal_of(view({7}, {1})), "its tensors reach from byte 0 to 28 of 32"));
  CHECK(contains(refusal_of(view({7}, {1}, 4)), "its tensors reach from byte 4 to 32 of 32"));
  CHECK(refusal_of([](Index& i) {
          i.tensors = {view({7}, {1}, 0), view({1}, {1}, 28)};
          i.tensors[1].name = "last";
        }) == "accepted");
}

TEST_CASE("a bool that is neither 0 nor 1 is refused, in verify too") {
  const auto file = [](int fill) {
    return file_with(view({4, 8}, {8, 1}, 0, ElementKind::boolean), fill).file();
  };
  CHECK(refusal(file(0)) == "accepted");
  CHECK(refusal(file(1)) == "accepted");
  CHECK(contains(refusal(file(2)), "is: 'w'"));
  CHECK_THROWS_AS(Reader(from_memory(file(2))).verify(), FormatError);
  CHECK_THROWS_AS(Reader(from_memory(file(2))).map(), FormatError);
}

TEST_CASE("wrong storages and chunks are refused") {
  const std::function<void(Index&)> wrong[] = {
      [](Index& i) { i.storages[0].bytes = 33; },
      [](Index& i) { i.storages[0].bytes = 31; },
      [](Index& i) { i.storages[0].bytes = 0; },
      [](Index& i) { i.storages[0].bytes = ~uint64_t{0}; },
      [](Index& i) { i.storages[0].bytes = uint64_t{1} << 40; },
      [](Index& i) { i.storages[0].width = 4; },
      [](Index& i) { i.storages[0].codec = static_cast<Codec>(3); },
      [](Index& i) { i.storages[0].codec = static_cast<Codec>(9); },
      [](Index& i) {
        i.storages[0].codec = Codec::zlib, i.storages[0].width = 4;
      },  // the header does not announce it
      [](Index& i) { i.storages.push_back(i.storages[0]); },
      [](Index& i) {
        i.storages.push_back({uint64_t{1} << 63, Codec::none, 1, 0, 0, 0});
      },
      [](Index& i) { i.storages.clear(); },
      [](Index& i) { i.storages.clear(), i.chunks.clear(), i.tensors.clear(); },
      [](Index& i) { i.chunks.clear(); },
      [](Index& i) { i.chunks.push_back(i.chunks[0]); },
      [](Index& i) { i.chunks[0].stored_bytes = 31; },
      [](Index& i) { i.chunks[0].stored_bytes = 33; },
      [](Index& i) { i.chunks[0].stored_bytes = ~uint64_t{0}; },
      [](Index& i) { i.chunks[0].stored_checksum ^= 1; },
      [](Index& i) { i.chunks[0].checksum ^= 1; },
      [](Index& i) { i.tensors.push_back(i.tensors[0]); },
      [](Index& i) { i.storages.insert(i.storages.begin(), StorageEntry{}), i.chunks.clear(); },
  };
  for (const auto& change : wrong) {
    CAPTURE(&change - wrong);
    CHECK(refusal_of(change) != "accepted");
  }
  CHECK(refusal_of([](Index&) {}) == "accepted");
  CHECK(contains(refusal_of([](Index& i) { i.storages.push_back({}); }), "storage 1 is no tensor's"));
}

TEST_CASE("a carried tensor has its storage to itself, and no bits after its last element") {
  const TensorEntry carried = view({4}, {1}, 0, ElementKind::complex64);
  const auto with = [&](TensorEntry other, bool first) {
    Forged f = file_with(carried);
    Index index = decode_index(f.index, 0, 0);
    other.name = "other";
    index.tensors.insert(first ? index.tensors.begin() : index.tensors.end(), other);
    f.index = encode_index(index);
    return refusal(f.file());
  };
  for (const bool first : {true, false}) {
    CHECK(with(carried, first) != "accepted");
    CHECK(with(view({8}, {1}), first) != "accepted");
  }
  Container c;
  c.carried.push_back(test::carried("five", ElementKind::i4, {5}));
  Bytes file = test::bytes_of(c);
  CHECK(refusal(file) == "accepted");
  const auto last = file.begin() + sizeof(Header) + 2;
  REQUIRE(*last < std::byte{16});
  *last |= std::byte{16};
  CHECK(contains(refusal(repaired(file)), "bits set after their last element; damaged is: 'five'"));
  c.carried[0].bytes->data()[2] |= std::byte{16};
  CHECK_THROWS_WITH_AS(test::bytes_of(c), doctest::Contains("bits set after"), Error);
}

TEST_CASE("many bools of one storage cost no more than one") {
  Forged f = file_with(view({32}, {1}, 0, ElementKind::boolean));
  Index index = decode_index(f.index, 0, 0);
  for (int i = 0; i < 1000; ++i) {
    index.tensors.push_back(index.tensors[0]);
    index.tensors.back().name = std::to_string(i);
  }
  f.index = encode_index(index);
  CHECK(refusal(f.file()) == "accepted");
  f.data[31] = std::byte{2};
  CHECK(contains(refusal(repaired(f.file())), "neither 0 nor 1"));
}

TEST_CASE("names and the section meta are as the writer makes them") {
  for (const std::string name :
       {"\xff", "a\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    TensorEntry entry = view({8}, {1});
    entry.name = name;
    CHECK_THROWS_WITH_AS(file_with(entry), doctest::Contains("not UTF-8"), Error);
    CHECK_FALSE(is_text(name));
  }
  CHECK_FALSE(is_text(std::string("a\0b", 3)));
  for (const char* name : {"", "a", "\u00e9", "\u20ac", "\U0010ffff", "\u07ff\u0800"}) CHECK(is_text(name));
  Forged f = file_with(view({8}, {1}));
  const auto at =
      std::search(f.index.begin(), f.index.end(), std::begin("state_dict"), std::end("state_dict") - 1,
                  [](std::byte b, char c) { return b == static_cast<std::byte>(c); });
  *at = std::byte{0xff};
  CHECK(contains(refusal(f.file()), "not UTF-8"));
  const Bytes meta = encode(MetaMap{{"kind", "state_dict"}, {"meta", {}}});
  const auto with = [&](const Meta& other) {
    Forged changed = file_with(view({8}, {1}));
    const Bytes old = section("meta", 1, meta), body = section("meta", 1, encode(other));
    const auto place = std::search(changed.index.begin(), changed.index.end(), old.begin(), old.end());
    REQUIRE(place != changed.index.end());
    changed.index.insert(changed.index.erase(place, place + static_cast<ptrdiff_t>(old.size())), body.begin(),
                         body.end());
    return refusal(changed.file());
  };
  CHECK(with(MetaMap{{"kind", "state_dict"}, {"meta", {}}}) == "accepted");
  CHECK(with(MetaMap{{"meta", {}}, {"kind", "state_dict"}}) != "accepted");
  CHECK(with(MetaMap{{"kind", "state_dict"}, {"meta", {}}, {"more", 1}}) != "accepted");
}

TEST_CASE("wrong sections are refused, unknown ones by name") {
  Forged f = file_with(view({8}, {1}));
  const auto with = [&](const Bytes& more) {
    Forged changed = f;
    changed.index.insert(changed.index.end(), more.begin(), more.end());
    return refusal(changed.file());
  };
  CHECK(with({}) == "accepted");
  CHECK(with(section("later", 0, Bytes(3))) == "accepted");
  CHECK(contains(with(section("later", 1, Bytes(3))), "needs its section 'later'"));
  CHECK(with(section("later", 2, Bytes(3))) == "accepted");
  CHECK(contains(with(section("later", 3, {})), "of no known kind"));
  CHECK(contains(with(section("meta", 0, {})), "the section 'meta' is there twice"));
  CHECK(contains(with(section("meta", 1, {})), "the section 'meta' is there twice"));
  CHECK(with(Bytes(3)) != "accepted");
  for (size_t n = 0; n < f.index.size(); ++n) {
    Forged cut = f;
    cut.index.resize(n);
    CAPTURE(n);
    REQUIRE(refusal(cut.file()) != "accepted");
  }
}

TEST_CASE("features that a file needs are refused by name, others are skipped") {
  Forged f = file_with(view({8}, {1}));
  Index index = decode_index(f.index, 0, 0);
  const Bytes rest(f.index.begin() + static_cast<ptrdiff_t>(section("features", 1, {}).size()),
                   f.index.end());
  constexpr std::string_view kName = "time travel";
  ByteWriter names;
  names.counted(std::as_bytes(std::span(kName)));
  f.index = section("features", 1, names.take());
  f.index.insert(f.index.end(), rest.begin(), rest.end());
  CHECK(refusal(f.file()) != "accepted");  // a name without a bit
  f.header.ignorable = uint64_t{1} << 40;
  CHECK(refusal(f.file()) == "accepted");
  f.header.ignorable = 0;
  f.header.critical = uint64_t{1} << 40;
  CHECK(contains(refusal(f.file()), "needs the feature 'time travel'"));
  f.header.critical = kZstdFeature;
  CHECK(contains(refusal(f.file()), "is named 'time travel'"));
  ByteWriter zstd;
  zstd.text("zstd");
  f.index = section("features", 1, zstd.take());
  f.index.insert(f.index.end(), rest.begin(), rest.end());
  CHECK(contains(refusal(f.file()), "a codec that no storage uses"));
}

TEST_CASE("headers and footers are refused by what is wrong") {
  const Forged sound = file_with(view({8}, {1}));
  CHECK(contains(refusal(Bytes(200)), "not a .varve file"));
  Forged f = sound;
  f.header.magic = {0x89, 'V', 'R', 'V', '\n', 0x1a, '\n', 0};
  CHECK(contains(refusal(f.file()), "text mode"));
  f = sound;
  f.header.major = 9;
  CHECK(contains(refusal(f.file()), "version 9.0; this program reads version 1"));
  f = sound;
  f.header.minor = 9;
  CHECK(refusal(f.file()) == "accepted");
  f = sound;
  f.header.byte_order = 0x04030201;
  CHECK(contains(refusal(f.file()), "little-endian"));
  f = sound;
  f.header.reserved[1] = 1;
  CHECK(contains(refusal(f.file()), "reserved"));
  f = sound;
  f.footer.reserved[0] = 1;
  CHECK(contains(refusal(f.file()), "reserved"));
  for (uint64_t Footer::*field : {&Footer::index_offset, &Footer::index_bytes, &Footer::index_checksum,
                                  &Footer::file_bytes, &Footer::header_checksum})
    for (const uint64_t by : {uint64_t{1}, uint64_t{64}, ~uint64_t{0}, uint64_t{1} << 63}) {
      f = sound;
      f.footer.*field = by;
      CHECK(refusal(f.file()) != "accepted");
    }
}
