// Meta: what is encoded comes back, and nothing else decodes.
#include <varve/io/meta.h>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include <varve/core/error.h>
#include <varve/io/bytes.h>

using namespace varve;
using namespace varve::io;

namespace {

using Random = std::mt19937;

size_t below(Random& random, size_t n) { return random() % n; }

std::string some_text(Random& random) {
  static const char* kCharacters[] = {"a", " ", "\n", "\x01", "\u00e9", "\u20ac", "\U0001f600"};
  std::string text;
  for (size_t n = below(random, 6); n > 0; --n) text += kCharacters[below(random, std::size(kCharacters))];
  return text;
}

Meta some_meta(Random& random, int depth) {
  static const double kDoubles[] = {0.0,
                                    -0.0,
                                    1.5,
                                    std::nan(""),
                                    -std::numeric_limits<double>::infinity(),
                                    std::numeric_limits<double>::denorm_min()};
  static const int64_t kInts[] = {0, -1, 42, std::numeric_limits<int64_t>::min(),
                                  std::numeric_limits<int64_t>::max()};
  switch (below(random, depth > 0 ? 9 : 6)) {
    case 0:
      return {};
    case 1:
      return below(random, 2) == 0;
    case 2:
      return kInts[below(random, std::size(kInts))];
    case 3:
      return kDoubles[below(random, std::size(kDoubles))];
    case 4:
      return some_text(random);
    case 5:
      return Bytes(below(random, 5), std::byte{0xab});
    case 6: {
      MetaList list;
      for (size_t n = below(random, 5); n > 0; --n) list.push_back(some_meta(random, depth - 1));
      return list;
    }
    default: {
      MetaMap map;
      for (size_t n = below(random, 5); n > 0; --n)
        map.emplace_back(std::to_string(n) + some_text(random), some_meta(random, depth - 1));
      return map;
    }
  }
}

Meta nested(int depth) { return depth == 0 ? Meta(1) : Meta(MetaList{nested(depth - 1)}); }

Bytes raw(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int v : values) bytes.push_back(static_cast<std::byte>(v));
  return bytes;
}

}  // namespace

TEST_CASE("what is UTF-8 is what another implementation takes for it") {
  Random random(5);
  static constexpr uint8_t kEdges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                       0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                       0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
  size_t good = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text(1 + below(random, 4), ' ');
    for (char& c : text) c = static_cast<char>(kEdges[below(random, std::size(kEdges))]);
    bool known = text.find('\0') == std::string::npos;
    try {
      nlohmann::json(text).dump();
    } catch (const nlohmann::json::type_error&) {
      known = false;
    }
    if (is_text(text) != known) FAIL_CHECK("string ", i);
    good += known;
  }
  CHECK(good > 1000);
}

TEST_CASE("more values than a file's bytes account for are refused, and never written") {
  const auto list = [](uint64_t count, const Meta& value) { return Meta(MetaList(count, value)); };
  const uint64_t most = kMetaFreeValues;
  CHECK(decode(encode(list(most, true))).as_list().size() == most);
  const uint64_t beyond = most + most / 4;
  CHECK_THROWS_WITH_AS(encode(list(beyond, true)), doctest::Contains("keep so many in a tensor"), Error);
  CHECK(decode(encode(list(beyond, 7))).as_list().size() == beyond);  // each has bytes of its own
  ByteWriter out;
  out.number(uint8_t{7}), out.number(beyond);
  for (uint64_t i = 0; i < beyond; ++i) out.number(uint8_t{0});
  CHECK_THROWS_AS(decode(out.take()), Error);
  CHECK_THROWS_AS(encode(Meta("\xff")), Error);
}

TEST_CASE("generated values come back from their bytes, and equal values have equal bytes") {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const Meta meta = some_meta(random, 4), copy = meta;
    const Bytes bytes = encode(meta);
    REQUIRE(decode(bytes) == meta);
    REQUIRE(encode(copy) == bytes);
  }
}

TEST_CASE("no bytes cut short decode, nor any with one too many") {
  Random random(2);
  for (int i = 0; i < 300; ++i) {
    Bytes bytes = encode(some_meta(random, 3));
    for (size_t n = 0; n < bytes.size(); ++n) REQUIRE_THROWS_AS(decode(std::span(bytes).first(n)), Error);
    bytes.push_back(std::byte{0});
    REQUIRE_THROWS_AS(decode(bytes), Error);
  }
}

TEST_CASE("damaged bytes decode to a value that encodes to them, or not at all") {
  Random random(3);
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes = encode(some_meta(random, 4));
    bytes[below(random, bytes.size())] ^= static_cast<std::byte>(1 + below(random, 255));
    try {
      const Meta found = decode(bytes);
      REQUIRE(encode(found) == bytes);
    } catch (const Error&) {
    }
  }
}

TEST_CASE("values differ when their kinds, bits or order differ") {
  CHECK(Meta(1) != Meta(1.0));
  CHECK(Meta(0.0) != Meta(-0.0));
  CHECK(Meta(std::nan("")) == Meta(std::nan("")));
  CHECK(Meta(true) != Meta(1));
  CHECK(Meta() != Meta(MetaList{}));
  CHECK(Meta(MetaMap{{"a", 1}, {"b", 2}}) != Meta(MetaMap{{"b", 2}, {"a", 1}}));
}

TEST_CASE("nesting is bounded when encoding and when decoding") {
  const Bytes deepest = encode(nested(kMetaMaxDepth));
  CHECK(decode(deepest) == nested(kMetaMaxDepth));
  CHECK_THROWS_WITH_AS(encode(nested(kMetaMaxDepth + 1)), doctest::Contains("deeper than 64"), Error);
  Bytes deeper = raw({7, 1, 0, 0, 0, 0, 0, 0, 0});
  deeper.insert(deeper.end(), deepest.begin(), deepest.end());
  CHECK_THROWS_WITH_AS(decode(deeper), doctest::Contains("deeper than 64"), Error);
}

TEST_CASE("announced lengths are compared with the bytes there are") {
  for (const int kind : {5, 6, 7, 8}) {
    CAPTURE(kind);
    CHECK_THROWS_AS(decode(raw({kind, 255, 255, 255, 255, 255, 255, 255, 255})), Error);
    CHECK_THROWS_AS(decode(raw({kind, 2, 0, 0, 0, 0, 0, 0, 0, 0})), Error);
  }
  CHECK_THROWS_WITH_AS(decode(raw({9})), doctest::Contains("unknown kind 9"), Error);
  CHECK_THROWS_AS(decode({}), Error);
}

TEST_CASE("a key given twice is refused") {
  const Meta twice = MetaMap{{"a", 1}, {"a", 2}};
  CHECK_THROWS_WITH_AS(encode(twice), doctest::Contains("'a' is given twice"), Error);
  Bytes bytes = encode(MetaMap{{"a", Meta()}, {"b", Meta()}});
  bytes[bytes.size() - 2] = std::byte{'a'};
  CHECK_THROWS_WITH_AS(decode(bytes), doctest::Contains("'a' is given twice"), Error);
}

TEST_CASE("accessors give the value or say what they found") {
  Meta meta;
  meta.set("lr", 0.5);
  meta.set("epoch", 3);
  meta.set("lr", 0.25);
  CHECK(meta.as_map().size() == 2);
  CHECK(meta.at("lr").as_double() == 0.25);
  CHECK_THROWS_WITH_AS(meta.at("epoch").as_double(), "meta: found int, required double", Error);
  CHECK(meta.find("name") == nullptr);
  CHECK_THROWS_WITH_AS(meta.at("name"), doctest::Contains("'name' is missing"), Error);
  CHECK_THROWS_WITH_AS(meta.at("lr").as_int(), "meta: found double, required int", Error);
  CHECK_THROWS_WITH_AS(Meta("x").set("a", 1), "meta: found string, required map", Error);
}

TEST_CASE("to_string reads like JSON") {
  const Meta meta = MetaMap{{"shape", MetaList{2, 3}},
                            {"layers", MetaList{MetaMap{{"name", "a\"b\n"}}}},
                            {"key", Bytes(3)},
                            {"none", Meta()},
                            {"empty", MetaMap{}}};
  CHECK(to_string(meta) ==
        "{\n"
        "  \"shape\": [2, 3],\n"
        "  \"layers\": [\n"
        "    {\n"
        "      \"name\": \"a\\\"b\\n\"\n"
        "    }\n"
        "  ],\n"
        "  \"key\": <3 bytes>,\n"
        "  \"none\": null,\n"
        "  \"empty\": {}\n"
        "}");
}
