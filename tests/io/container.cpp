// The container: every tensor comes back as it was, and no file but a whole and sound one is read.
#include <varve/io/container.h>

#include <doctest/doctest.h>

#include "tests/fixture.h"
#include "tests/io/temporary_folder.h"

#include <random>

#include <varve/core/ops/views.h>
#include <varve/io/bytes.h>
#include <varve/io/checksum.h>
#include <varve/io/layout.h>

using namespace varve;
using namespace varve::io;
using test::identical;

namespace {

// Any bits: NaNs of all kinds must survive too.
Tensor noise(DType dtype, const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  const Tensor out = zeros(shape, dtype);
  auto* bytes = static_cast<uint8_t*>(out.view().data);
  for (size_t i = 0; i < out.spec().bytes(); ++i)
    bytes[i] = static_cast<uint8_t>(dtype == DType::boolean ? random() & 1 : random());
  return out;
}

NamedTensors round_trip(const NamedTensors& tensors) {
  const test::TemporaryFolder folder;
  write(folder / "a.varve", {"state_dict", {}, tensors});
  return read(folder / "a.varve").tensors;
}

void check_same(const NamedTensors& found, const NamedTensors& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(expected[i].name);
    CHECK(found[i].name == expected[i].name);
    CHECK(identical(found[i].tensor, expected[i].tensor));
  }
}

Container small_container() {
  Container c{"state_dict", MetaMap{{"note", "small"}}, {}};
  c.tensors.add("weight", noise(DType::f32, {3, 2}, 1));
  c.tensors.add("mask", noise(DType::boolean, {5}, 2));
  return c;
}

template <class T>
std::span<const std::byte> raw(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// A file with right checksums around any index: `data` is what follows the header.
Bytes forged(const Bytes& data, const Bytes& index, const Header& header = {}) {
  Footer footer{sizeof header + data.size(), index.size(), checksum(index), 0, 0};
  footer.file_bytes = footer.index_offset + index.size() + sizeof footer;
  footer.checksum = checksum(frame(header, footer));
  ByteWriter file;
  for (const std::span<const std::byte> part : {raw(header), {data}, {index}, raw(footer)}) file.raw(part);
  return file.take();
}

// One storage of 32 bytes, padded to its place, each byte `fill`.
Bytes storage_data(int fill = 0) {
  Bytes data(80, static_cast<std::byte>(fill));
  std::fill_n(data.begin(), 48, std::byte{0});
  return data;
}

Meta storage_entry(int fill = 0, int64_t offset = 64, int64_t bytes = 32) {
  const Bytes block(32, static_cast<std::byte>(fill));
  return MetaMap{
      {"offset", offset}, {"bytes", bytes}, {"checksums", MetaList{static_cast<int64_t>(checksum(block))}}};
}

Meta tensor_entry(const char* name, MetaList shape, MetaList strides, int64_t offset = 0,
                  const char* dtype = "f32", int64_t storage = 0) {
  return MetaMap{
      {"name", name},       {"dtype", dtype},  {"shape", std::move(shape)}, {"strides", std::move(strides)},
      {"storage", storage}, {"offset", offset}};
}

Meta index_of(MetaList storages, MetaList tensors) {
  return MetaMap{{"kind", "state_dict"},
                 {"meta", {}},
                 {"storages", std::move(storages)},
                 {"tensors", std::move(tensors)}};
}

std::string refusal(const Bytes& file) {
  const test::TemporaryFolder folder;
  test::put(folder / "f", file);
  try {
    read(folder / "f");
  } catch (const FormatError& e) {
    CHECK(e.path() == folder / "f");
    return e.what();
  }
  return "accepted";
}

std::string refusal_of_tensor(const Meta& entry) {
  return refusal(forged(storage_data(), encode(index_of({storage_entry()}, {entry}))));
}

}  // namespace

TEST_CASE("tensors of every dtype come back bit for bit, whatever their shape") {
  NamedTensors tensors;
  for (size_t d = 0; d < kDTypes; ++d) {
    const auto dtype = static_cast<DType>(d);
    const auto seed = static_cast<uint32_t>(d);
    const std::string name(name_of(dtype));
    tensors.add(name + ".scalar", noise(dtype, {}, seed));
    tensors.add(name + ".matrix", noise(dtype, {3, 5}, seed + 1));
    tensors.add(name + ".empty", noise(dtype, {2, 0, 3}, seed));
    tensors.add(name + ".rank8", noise(dtype, {1, 2, 1, 2, 1, 2, 1, 3}, seed + 2));
  }
  tensors.add("", noise(DType::f32, {1}, 3));
  check_same(round_trip(tensors), tensors);
}

TEST_CASE("large tensors come back, over chunk borders and on pages of the file") {
  NamedTensors tensors;
  for (const int64_t n : {65535, 65536, 1 << 20, (1 << 20) + 1, (5 << 20) / 2})
    tensors.add(std::to_string(n), noise(DType::u8, {n}, static_cast<uint32_t>(n)));
  check_same(round_trip(tensors), tensors);
}

TEST_CASE("kind and meta come back, also without any tensor") {
  const test::TemporaryFolder folder;
  const Container empty{"anything", MetaMap{{"a", MetaList{1, 2.5, "x"}}}, {}};
  write(folder / "a", empty);
  const Container found = read(folder / "a");
  CHECK(found.kind == "anything");
  CHECK(found.meta == empty.meta);
  CHECK(found.tensors.empty());
}

TEST_CASE("strided tensors come back with the same elements, and dense ones with their strides") {
  const Tensor base = noise(DType::f32, {6, 8}, 4);
  NamedTensors tensors;
  tensors.add("transposed", transpose(clone(base)));
  tensors.add("flipped", flip(clone(base), 0));
  tensors.add("column", select(clone(base), 1, 3));
  tensors.add("every second", slice(clone(base), 1, 0, 8, 2));
  tensors.add("broadcast", expand(clone(base), {5, 6, 8}));
  tensors.add("rows", slice(clone(base), 0, 2, 4));
  tensors.add("no rows", slice(clone(base), 0, 6));
  const NamedTensors found = round_trip(tensors);
  check_same(found, tensors);
  CHECK(found[0].tensor.strides() == Strides{1, 8});
  CHECK(found[1].tensor.strides() == Strides{-8, 1});
  CHECK(found[2].tensor.value().storage->bytes() == 6 * 4);
  CHECK(found[3].tensor.value().storage->bytes() == 6 * 4 * 4);
  CHECK(found[4].tensor.value().storage->bytes() == 5 * 6 * 8 * 4);
  CHECK(found[5].tensor.value().storage->bytes() == 2 * 8 * 4);
}

TEST_CASE("tensors that share memory are stored once and share it again") {
  const Tensor base = noise(DType::f32, {4, 4}, 5);
  NamedTensors tensors;
  tensors.add("tied", base);
  tensors.add("tied too", base);
  tensors.add("transposed", transpose(base));
  tensors.add("row", base[2]);
  tensors.add("other", clone(base));
  tensors.add("spread", expand(base[0], {3, 4}));
  const NamedTensors found = round_trip(tensors);
  check_same(found, tensors);
  for (size_t i = 0; i < 4; ++i) CHECK(found[i].tensor.value().storage == found[0].tensor.value().storage);
  CHECK(found[4].tensor.value().storage != found[0].tensor.value().storage);
  found[0].tensor.fill(7);
  CHECK(found[1].tensor[3][3].item() == 7);
  CHECK(found[3].tensor[0].item() == 7);
}

TEST_CASE("of a larger storage only what the tensors show is stored") {
  const test::TemporaryFolder folder;
  const Tensor big = full({1000, 1000}, 7.0);
  Container c{"state_dict", {}, {}};
  c.tensors.add("first row", big[0]);
  c.tensors.add("last row", big[999]);
  c.tensors.add("left", slice(slice(big, 0, 10, 14), 1, 0, 2));
  c.tensors.add("middle", slice(slice(big, 0, 10, 14), 1, 1, 3));  // overlaps: both in one block with gaps
  write(folder / "a", c);
  CHECK(std::filesystem::file_size(folder / "a") < 24'000);
  const NamedTensors found = read(folder / "a").tensors;
  check_same(found, c.tensors);
  CHECK(found[2].tensor.value().storage == found[3].tensor.value().storage);
  const auto* block = reinterpret_cast<const float*>(found[2].tensor.value().storage->data());
  CHECK(block[0] == 7);
  CHECK(block[500] == 0);  // what lies between the rows is nobody's
}

TEST_CASE("the same content gives the same bytes, wherever it lies in memory") {
  const test::TemporaryFolder folder;
  constexpr int kCount = 20;
  Tensors first(kCount), second(kCount);
  for (int i = 0; i < kCount; ++i) first[i] = noise(DType::f32, {5, 7}, static_cast<uint32_t>(i));
  for (int i = kCount; i-- > 0;) second[i] = clone(first[i]);  // the other way round
  for (const auto& [name, tensors] : {std::pair("a", &first), std::pair("b", &second)}) {
    Container c{"state_dict", MetaMap{{"x", 1}}, {}};
    for (int i = 0; i < kCount; ++i) {
      const Tensor& t = (*tensors)[i];
      c.tensors.add("t" + std::to_string(i), i % 3 == 0 ? slice(t, 1, 1, 6, 2) : t);
    }
    write(folder / name, c);
  }
  CHECK(test::contents(folder / "a") == test::contents(folder / "b"));
}

TEST_CASE("storages lie on 64 bytes, large ones on 4096") {
  const test::TemporaryFolder folder;
  Container c{"state_dict", {}, {}};
  c.tensors.add("small", noise(DType::u8, {3}, 1));
  c.tensors.add("large", full({65536}, 0x5a, DType::u8));
  write(folder / "a", c);
  const Bytes file = test::contents(folder / "a");
  REQUIRE(file.size() > 4096 + 65536);
  CHECK(std::memcmp(file.data() + 64, c.tensors[0].tensor.view().data, 3) == 0);
  CHECK(file[4095] == std::byte{0});
  CHECK(file[4096] == std::byte{0x5a});
  CHECK(file[4096 + 65535] == std::byte{0x5a});
}

TEST_CASE("a file with any byte changed is refused") {
  const test::TemporaryFolder folder;
  write(folder / "a", small_container());
  Bytes file = test::contents(folder / "a");
  for (size_t i = 0; i < file.size(); ++i)
    for (const int mask : {0x01, 0x20, 0x80, 0xff}) {
      file[i] ^= static_cast<std::byte>(mask);
      test::put(folder / "b", file);
      CAPTURE(i);
      REQUIRE_THROWS_AS(read(folder / "b"), FormatError);
      file[i] ^= static_cast<std::byte>(mask);
    }
}

TEST_CASE("a file cut at any length, or extended, is refused") {
  const test::TemporaryFolder folder;
  write(folder / "a", small_container());
  Bytes file = test::contents(folder / "a");
  for (size_t n = 0; n < file.size(); ++n) {
    test::put(folder / "b", std::span(file).first(n));
    CAPTURE(n);
    REQUIRE_THROWS_AS(read(folder / "b"), FormatError);
  }
  file.push_back(std::byte{0});
  CHECK(refusal(file).find("extended") != std::string::npos);
  file.insert(file.end(), file.begin(), file.end() - 1);
  CHECK(refusal(file) != "accepted");
}

TEST_CASE("damage is reported with its offset and the tensor's name") {
  const test::TemporaryFolder folder;
  Container c = small_container();
  c.tensors.add("big", noise(DType::u8, {3 << 20}, 3));
  write(folder / "a", c);
  Bytes file = test::contents(folder / "a");
  file[4096 + (1 << 20) + 5] ^= std::byte{1};
  test::put(folder / "a", file);
  try {
    read(folder / "a");
    FAIL("accepted");
  } catch (const FormatError& e) {
    CHECK(e.offset() == 4096 + (1 << 20));
    CHECK(std::string(e.what()).find("'big'") != std::string::npos);
  }
}

TEST_CASE("files of another kind, damaged by text mode, or of another version are refused by what they are") {
  CHECK_THROWS_AS(read("/nonexistent/a"), IoError);
  CHECK_THROWS_AS(read("/"), IoError);
  CHECK_THROWS_AS(read("/dev/null"), IoError);
  CHECK(refusal(Bytes(200)).find("not a .varve file") != std::string::npos);
  Header text;
  text.magic = {0x89, 'V', 'R', 'V', '\n', 0x1a, '\n', 0};
  CHECK(refusal(forged({}, encode(index_of({}, {})), text)).find("text mode") != std::string::npos);
  Header later;
  later.major = 9;
  CHECK(refusal(forged({}, encode(index_of({}, {})), later)).find("version 9.1") != std::string::npos);
  Header minor;
  minor.minor = 9;
  CHECK(refusal(forged({}, encode(index_of({}, {})), minor)) == "accepted");
  Header big_endian;
  big_endian.byte_order = 0x04030201;
  CHECK(refusal(forged({}, encode(index_of({}, {})), big_endian)).find("little-endian") != std::string::npos);
}

TEST_CASE("a sound forged file is read: the next tests forge wrong ones the same way") {
  CHECK(refusal_of_tensor(tensor_entry("w", {2, 4}, {4, 1})) == "accepted");
  CHECK(refusal_of_tensor(tensor_entry("w", {2, 4}, {-4, 1}, 16)) == "accepted");
  CHECK(refusal_of_tensor(tensor_entry("w", {0}, {1}, 32)) == "accepted");
}

TEST_CASE("views that leave their storage are refused by name") {
  const int64_t huge = std::numeric_limits<int64_t>::max() / 2;
  const Meta wrong[] = {
      tensor_entry("w", {9}, {1}),
      tensor_entry("w", {2}, {8}),
      tensor_entry("w", {2}, {-1}),
      tensor_entry("w", {1}, {1}, -4),
      tensor_entry("w", {1}, {1}, 32),
      tensor_entry("w", {1}, {1}, 2),
      tensor_entry("w", {0}, {1}, 36),
      tensor_entry("w", {huge}, {0}),
      tensor_entry("w", {1000}, {0}),
      tensor_entry("w", {2}, {huge}),
      tensor_entry("w", {huge, huge}, {0, 0}),
      tensor_entry("w", {0, huge, huge}, {0, 0, 0}),
      tensor_entry("w", {0, 2}, {7, 7}),
      tensor_entry("w", {-1}, {1}),
      tensor_entry("w", {2, 2}, {1}),
      tensor_entry("w", {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}),
      tensor_entry("w", {1}, {1}, 0, "f32", 1),
      tensor_entry("w", {1}, {1}, 0, "f32", -1),
      tensor_entry("w", {1}, {1}, 0, "f128"),
      tensor_entry("w", {"1"}, {1}),
      tensor_entry("w", {1}, {1}, std::numeric_limits<int64_t>::max() - 3),
  };
  for (const Meta& entry : wrong) {
    CAPTURE(to_string(entry));
    CHECK(refusal_of_tensor(entry).find("tensor 'w'") != std::string::npos);
  }
  CHECK(refusal_of_tensor(tensor_entry("w", {1}, {1}, 0, "f128")).find("f128") != std::string::npos);
}

TEST_CASE("a bool that is neither 0 nor 1 is refused") {
  const auto file = [](int fill) {
    return forged(storage_data(fill),
                  encode(index_of({storage_entry(fill)}, {tensor_entry("mask", {4, 8}, {8, 1}, 0, "bool")})));
  };
  CHECK(refusal(file(0)) == "accepted");
  CHECK(refusal(file(1)) == "accepted");
  CHECK(refusal(file(2)).find("tensor 'mask'") != std::string::npos);
}

TEST_CASE("wrong indices are refused") {
  const Meta w = tensor_entry("w", {1}, {1});
  const int64_t top = std::numeric_limits<int64_t>::max();
  const Meta wrong[] = {
      index_of({storage_entry()}, {w, w}),
      index_of({storage_entry(0, 128)}, {}),
      index_of({storage_entry(0, 0)}, {}),
      index_of({storage_entry(0, 64, 16)}, {}),
      index_of({storage_entry(0, 64, 33)}, {}),
      index_of({storage_entry(0, 64, top)}, {}),
      index_of({storage_entry(0, 64, -1)}, {}),
      index_of({storage_entry(0, -64)}, {}),
      index_of({storage_entry(), storage_entry()}, {}),
      index_of({MetaMap{{"offset", 64}, {"bytes", 32}, {"checksums", MetaList{}}}}, {}),
      index_of({MetaMap{{"offset", 64}, {"bytes", 32}}}, {}),
      index_of({}, {}),
      MetaMap{{"kind", 3}, {"meta", {}}, {"storages", MetaList{}}, {"tensors", MetaList{}}},
      MetaMap{{"kind", "model"}},
      MetaList{},
      Meta(),
  };
  for (const Meta& index : wrong) {
    CAPTURE(to_string(index));
    CHECK(refusal(forged(storage_data(), encode(index))) != "accepted");
  }
  CHECK(refusal(forged(storage_data(), Bytes(3, std::byte{255}))) != "accepted");
  CHECK(refusal(forged(storage_data(), {})) != "accepted");
}

TEST_CASE("what cannot be stored is refused by name, and no file appears") {
  const test::TemporaryFolder folder;
  Container twice = small_container();
  twice.tensors.add("mask", zeros({1}));
  CHECK_THROWS_WITH_AS(write(folder / "a", twice), doctest::Contains("two tensors are named 'mask'"), Error);
  Container undefined;
  undefined.tensors.add("nothing", Tensor());
  CHECK_THROWS_WITH_AS(write(folder / "a", undefined), doctest::Contains("'nothing' is undefined"), Error);
  CHECK(folder.entries() == 0);
}
