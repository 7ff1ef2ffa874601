// safetensors files: read and written byte for byte as the reference implementation has them, and refused
// where they are wrong.
#include <varve/io/foreign/safetensors.h>

#include <doctest/doctest.h>

#include <cstring>

#include "tests/fixture.h"
#include "tests/io/samples.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::io;
using namespace varve::test;

namespace {

Bytes fixture() { return contents(std::string(VARVE_TEST_DATA) + "/every_dtype.safetensors"); }

Bytes written(const Container& container) {
  MemorySink sink;
  write_safetensors(sink, container);
  return sink.take();
}

Bytes file(std::string header, size_t data_bytes) {
  const uint64_t length = header.size();
  header.resize(header.size() + data_bytes);
  Bytes bytes(8 + header.size());
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

std::string refusal(const std::string& header, size_t data_bytes) {
  const std::string said =
      message_of<FormatError>([&] { read_safetensors(from_memory(file(header, data_bytes))); });
  return said == "nothing was thrown" ? "accepted" : said;
}

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

// Headers, each with so many bytes of data.
void check_refused(const std::vector<std::pair<std::string, size_t>>& wrong) {
  for (const auto& header_and_data : wrong) {
    const std::string& header = header_and_data.first;
    CAPTURE(header.substr(0, 200));
    CHECK(refusal(header, header_and_data.second) != "accepted");
  }
}

}  // namespace

TEST_CASE("a file of every dtype is read, and written again to the same bytes") {
  const Bytes bytes = fixture();
  REQUIRE(is_safetensors(*from_memory(bytes)));
  const Container c = read_safetensors(from_memory(bytes));
  CHECK(c.tensors.size() == 13 * 3);
  CHECK(c.carried.size() == 6 * 3);
  CHECK(c.meta.at("made by").as_string().starts_with("safetensors"));
  const Tensor& u8 = *c.tensors.find("uint8 [2, 3]");
  CHECK(u8[1][2].item() == 5 * 37 + 1);
  CHECK(c.tensors.find("float64 []")->shape().empty());
  CHECK(c.tensors.find("int16 [0, 4]")->shape() == Shape{0, 4});
  CHECK(written(c) == bytes);
}

TEST_CASE("what varve holds goes there and back, tied and strided tensors as copies") {
  Container c{"state_dict", MetaMap{{"note", "x"}, {"number", 3}}, {}, {}, {}};
  const Tensor base = weights({4, 6}, 1);
  c.tensors.add("plain", base);
  c.tensors.add("tied", base);
  c.tensors.add("turned", transpose(base));
  c.carried.push_back(carried("four bits", ElementKind::f4_e2m1fn, {2, 5}));
  const Container found = read_safetensors(from_memory(written(c)));
  for (const NamedTensor& t : c.tensors) {
    CAPTURE(t.name);
    REQUIRE(found.tensors.find(t.name));
    CHECK(identical(*found.tensors.find(t.name), t.tensor));
  }
  REQUIRE(found.carried.size() == 1);
  CHECK(std::memcmp(found.carried[0].bytes->data(), c.carried[0].bytes->data(), 5) == 0);
  CHECK(found.meta == Meta(MetaMap{{"note", "x"}}));
}

TEST_CASE("what safetensors cannot hold is refused by name") {
  Container c{"state_dict", {}, {}, {carried("wide", ElementKind::complex128, {1})}, {}};
  CHECK(contains(message_of([&] { written(c); }), "'wide' is complex128"));
  c.carried = {carried("odd", ElementKind::f4_e2m1fn, {3})};
  CHECK(contains(message_of([&] { written(c); }), "'odd' of shape [3]"));
  c.carried = {};
  c.tensors.add("__metadata__", zeros({1}));
  CHECK(contains(message_of([&] { written(c); }), "cannot be a tensor's name"));
  c.tensors = {{"\xff", zeros({1})}};
  CHECK(contains(message_of([&] { written(c); }), "cannot be written as JSON"));
}

TEST_CASE("shapes, types and offsets that do not hold are refused") {
  CHECK(refusal(tensor("F32", "[2]", "[0,8]"), 8) == "accepted");
  CHECK(refusal(tensor("F32", "[0,9223372036854775807]", "[0,0]"), 0) !=
        "accepted");  // of others' arithmetic
  check_refused({
      {tensor("F32", "[2]", "[0,8]"), 9},    // bytes at the end
      {tensor("F32", "[2]", "[0,8]"), 7},    // too few
      {tensor("F32", "[2]", "[4,12]"), 12},  // a hole
      {tensor("F32", "[2]", "[8,0]"), 8},    // backwards
      {tensor("F32", "[2]", "[0,7]"), 7},    // does not fit
      {tensor("F32", "[3]", "[0,8]"), 8},
      {tensor("F32", "[-1]", "[0,8]"), 8},
      {tensor("F32", "[1.5]", "[0,8]"), 8},
      {tensor("F32", "[\"2\"]", "[0,8]"), 8},
      {tensor("F32", "2", "[0,8]"), 8},
      {tensor("F32", "[4611686018427387904,4]", "[0,0]"), 0},  // 2^64 bytes
      {tensor("F32", "[18446744073709551615]", "[0,8]"), 8},
      {tensor("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8},
      {tensor("F32", "[2]", "[0]"), 8},
      {tensor("F32", "[2]", "[0,8,8]"), 8},
      {tensor("F32", "[2]", "[0,18446744073709551615]"), 8},
      {tensor("F33", "[2]", "[0,8]"), 8},
      {tensor("F4", "[3]", "[0,1]"), 1},
  });
  Bytes truth = file(tensor("BOOL", "[1]", "[0,1]"), 1);
  truth.back() = std::byte{2};
  CHECK_THROWS_AS(read_safetensors(from_memory(truth)), FormatError);
}

TEST_CASE("headers that are no list of tensors are refused") {
  CHECK(refusal("{}", 0) == "accepted");
  check_refused({
      {R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8},
      {R"({"a":3})", 0},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
       2},
      {R"({"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2},
      {R"({"__metadata__":{"x":1}})", 0},
      {R"({"__metadata__":[]})", 0},
      {R"({"__metadata__":{"x":"1","x":"2"}})", 0},
      {"[]", 0},
      {"{", 0},
      {" {}", 0},
      {"", 0},
      {std::string("{\"\xff\":1}"), 0},
      {std::string(50'000, '['), 0},
      {R"({"a":)" + std::string(50'000, '['), 0},
      {R"({"a":{"dtype":)" + std::string(300'000, '[') + std::string(300'000, ']') +
           R"(,"shape":[1],"data_offsets":[0,1]}})",
       1},
      {std::string("{}\0\0", 4), 0},
  });
  CHECK(contains(refusal(R"({"a":1,"a":2})", 0), "'a' is there twice"));
}

TEST_CASE("lengths of the header that cannot be right are refused before anything is read") {
  for (const uint64_t length : {uint64_t{3}, uint64_t{100'000'001}, uint64_t{1} << 40, ~uint64_t{0}}) {
    Bytes bytes = file("{}", 0);
    std::memcpy(bytes.data(), &length, 8);
    CHECK_THROWS_AS(read_safetensors(from_memory(bytes)), FormatError);
  }
  for (size_t n = 0; n < 10; ++n) CHECK_THROWS_AS(read_safetensors(from_memory(Bytes(n))), FormatError);
}

TEST_CASE("tensors of a mapped file are used where they lie, if they are aligned") {
  const TemporaryFolder folder;
  const Container c = read_safetensors(from_memory(fixture()));
  write_safetensors(folder / "a.safetensors", c);
  const SourcePtr source = map_file(folder / "a.safetensors");
  REQUIRE(is_safetensors(*source));
  const Container mapped = map_safetensors(source);
  CHECK(written(mapped) == written(c));
  const auto within = [&](const void* p) {
    return p >= source->memory().data() && p < source->memory().data() + source->size();
  };
  for (const auto& [name, t] : mapped.tensors) CHECK((t.numel() == 0 || within(t.view().data)));
  for (const Carried& t : mapped.carried) CHECK((t.bytes->bytes() == 0 || within(t.bytes->data())));

  // What is wider than a byte is aligned under one header of four, and else read.
  int in_place = 0;
  for (int spaces = 0; spaces < 4; ++spaces) {
    const std::string header =
        R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}})";
    const Bytes bytes = file(header + std::string(static_cast<size_t>(spaces), ' '), 7);
    const Container part = map_safetensors(from_memory(std::span(bytes)));
    CHECK(part.tensors[0].tensor.view().data == bytes.data() + bytes.size() - 7);
    in_place += part.tensors[1].tensor.view().data == bytes.data() + bytes.size() - 4;
  }
  CHECK(in_place == 1);
}

TEST_CASE("every cut and every changed byte of the header is read whole or refused") {
  const Bytes sound = fixture();
  for (size_t n = 0; n < sound.size(); ++n) {
    const Bytes cut(sound.begin(), sound.begin() + static_cast<ptrdiff_t>(n));
    REQUIRE_THROWS_AS(read_safetensors(from_memory(cut)), FormatError);
  }
  Bytes file = sound;
  for (size_t i = 0; i < 2000; ++i)
    for (const int mask : {1, 8, 64}) {
      file[i] ^= static_cast<std::byte>(mask);
      try {
        read_safetensors(from_memory(file));
      } catch (const FormatError&) {
      }
      file[i] ^= static_cast<std::byte>(mask);
    }
}
