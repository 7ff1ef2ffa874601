// The container: every tensor comes back as it was, with every codec, and the same content has the same
// bytes.
#include <varve/io/container.h>

#include <doctest/doctest.h>

#include <cstring>

#include <varve/core/cpu/threads.h>

#include "tests/fixture.h"
#include "tests/io/same.h"
#include "tests/io/samples.h"
#include "tests/io/temporary_folder.h"

using namespace varve;
using namespace varve::io;
using namespace varve::test;

namespace {

Container of(NamedTensors tensors) { return {"state_dict", {}, std::move(tensors), {}, {}}; }

NamedTensors round_trip(const NamedTensors& tensors, Codec codec = Codec::none) {
  return Reader(from_memory(test::bytes_of(of(tensors), codec))).read().tensors;
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
    tensors.add(name + ".ones", ones({50, 50}, dtype));
  }
  tensors.add("", noise(DType::f32, {1}, 3));
  for (const Codec codec : kAllCodecs) check_same(round_trip(tensors, codec), tensors);
}

TEST_CASE("large tensors come back, over chunk borders and on pages of the file") {
  NamedTensors tensors;
  for (const int64_t n : {65535, 65536, 1 << 20, (1 << 20) + 1, (5 << 20) / 2}) {
    tensors.add(std::to_string(n), noise(DType::u8, {n}, static_cast<uint32_t>(n)));
    tensors.add("f32 " + std::to_string(n), weights({n / 4}, static_cast<uint64_t>(n)));
  }
  for (const Codec codec : kAllCodecs) check_same(round_trip(tensors, codec), tensors);
}

TEST_CASE("everything a file may hold comes back") {
  const Container expected = sample();
  for (const Codec codec : kAllCodecs) {
    CAPTURE(name_of(codec));
    const Container found = Reader(from_memory(test::bytes_of(expected, codec))).read();
    CHECK(found.kind == expected.kind);
    CHECK(found.meta == expected.meta);
    CHECK(found.sections == expected.sections);
    check_same(found.tensors, expected.tensors);
    REQUIRE(found.carried.size() == expected.carried.size());
    for (size_t i = 0; i < found.carried.size(); ++i) {
      const Carried &f = found.carried[i], &e = expected.carried[i];
      CHECK(f.name == e.name);
      CHECK(f.element == e.element);
      CHECK(f.shape == e.shape);
      REQUIRE(f.bytes->bytes() == e.bytes->bytes());
      CHECK(std::memcmp(f.bytes->data(), e.bytes->data(), e.bytes->bytes()) == 0);
    }
    CHECK(test::bytes_of(found, codec) == test::bytes_of(expected, codec));
  }
}

TEST_CASE("carried tensors of every kind come back") {
  Container c = of({});
  for (uint8_t k = 1; info_of(static_cast<ElementKind>(k)); ++k) {
    const auto kind = static_cast<ElementKind>(k);
    if (info_of(kind)->dtype) continue;
    const std::string name(info_of(kind)->name);
    for (const Shape& shape : {Shape{}, Shape{3, 7}, Shape{0}, Shape{1000}})
      c.carried.push_back(carried(name + to_string(shape), kind, shape));
  }
  CHECK(c.carried.size() == 12 * 4);
  const Container found = Reader(from_memory(test::bytes_of(c))).read();
  CHECK(test::bytes_of(found) == test::bytes_of(c));
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
  const Tensor big = full({1000, 1000}, 7.0);
  NamedTensors tensors;
  tensors.add("first row", big[0]);
  tensors.add("last row", big[999]);
  tensors.add("left", slice(slice(big, 0, 10, 14), 1, 0, 2));
  tensors.add("middle", slice(slice(big, 0, 10, 14), 1, 1, 3));  // overlaps: both in one block with gaps
  CHECK(test::bytes_of(of(tensors)).size() < 24'000);
  const NamedTensors found = round_trip(tensors);
  check_same(found, tensors);
  CHECK(found[2].tensor.value().storage == found[3].tensor.value().storage);
  const auto* block = reinterpret_cast<const float*>(found[2].tensor.value().storage->data());
  CHECK(block[0] == 7);
  CHECK(block[500] == 0);  // what lies between the rows is nobody's
}

TEST_CASE("what repeats elements is stored by itself, without that, however it lies in memory") {
  const Tensor base = noise(DType::f32, {30}, 7), gaps = slice(base, 0, 0, 30, 10), dense = clone(gaps);
  const auto file = [](const Tensor& t) {
    return Reader(from_memory(test::bytes_of(of({{"t", t}, {"spread", expand(t, {2, 3})}}))));
  };
  CHECK(file(gaps).fingerprint() == file(dense).fingerprint());
  const NamedTensors found = file(gaps).read().tensors;
  CHECK(identical(found[1].tensor, expand(dense, {2, 3})));
  CHECK(found[1].tensor.strides() == Strides{3, 1});
  CHECK(found[1].tensor.value().storage != found[0].tensor.value().storage);
  // One view under two names stays one, whichever handles show it.
  const Tensor one = expand(gaps, {2, 3}), again = expand(gaps, {2, 3});
  for (const Tensor& other : {one, again}) {
    const NamedTensors tied = round_trip({{"a", one}, {"b", other}});
    CHECK(tied[0].tensor.value().storage == tied[1].tensor.value().storage);
  }
}

TEST_CASE("of views of several dtypes every element stays aligned") {
  const Tensor numbers = noise(DType::f32, {16}, 6);
  const auto view = [&](DType dtype, int64_t offset, int64_t count) {
    return Tensor(std::make_shared<const Value>(
        Value{numbers.value().storage, numbers.value().offset + offset, dtype, {count}, {1}}));
  };
  // From byte 1 to 5, and from 4 to 12: what they share begins a number before the first of them.
  const NamedTensors tensors{{"bytes", view(DType::u8, 1, 4)}, {"numbers", view(DType::f32, 4, 2)}};
  const NamedTensors found = round_trip(tensors);
  check_same(found, tensors);
  CHECK(found[0].tensor.value().storage == found[1].tensor.value().storage);
  CHECK(found[0].tensor.value().offset == 1);
}

TEST_CASE("the same content gives the same bytes, wherever it lies in memory, on any number of threads") {
  constexpr int kCount = 20;
  Tensors first(kCount), second(kCount);
  for (int i = 0; i < kCount; ++i) first[i] = weights({500, 70}, static_cast<uint64_t>(i));
  for (int i = kCount; i-- > 0;) second[i] = clone(first[i]);  // the other way round
  const auto file = [&](const Tensors& tensors, Codec codec) {
    NamedTensors named;
    for (int i = 0; i < kCount; ++i)
      named.add("t" + std::to_string(i), i % 3 == 0 ? slice(tensors[i], 1, 1, 60, 2) : tensors[i]);
    return test::bytes_of(of(named), codec);
  };
  const int before = threads();
  for (const Codec codec : kAllCodecs) {
    const Bytes expected = file(first, codec);
    for (const int count : {1, 2, 5}) {
      set_threads(count);
      CHECK(file(second, codec) == expected);
    }
  }
  set_threads(before);
}

TEST_CASE("codecs make weights smaller, and zeros no smaller than a 64th") {
  NamedTensors tensors;
  tensors.add("w", weights({1 << 18}, 1));
  const auto size = [&](Codec codec) {
    return static_cast<double>(test::bytes_of(of(tensors), codec).size());
  };
  const double plain = size(Codec::none);
  CHECK(size(Codec::zlib) < 0.87 * plain);
  CHECK(size(Codec::zstd) < 0.87 * plain);
  tensors = {{"z", zeros({1 << 18})}};
  for (const Codec codec : {Codec::zlib, Codec::zstd}) {
    CHECK(size(codec) > plain / 64);
    CHECK(size(codec) < plain / 60);
  }
}

TEST_CASE("storages lie on 64 bytes, large ones on 4096") {
  NamedTensors tensors;
  tensors.add("small", noise(DType::u8, {3}, 1));
  tensors.add("large", full({65536}, 0x5a, DType::u8));
  const Bytes file = test::bytes_of(of(tensors));
  REQUIRE(file.size() > 4096 + 65536);
  CHECK(std::memcmp(file.data() + 64, tensors[0].tensor.view().data, 3) == 0);
  CHECK(file[4095] == std::byte{0});
  CHECK(file[4096] == std::byte{0x5a});
  CHECK(file[4096 + 65535] == std::byte{0x5a});
}

TEST_CASE("what cannot be stored is refused by name, and no file appears") {
  const TemporaryFolder folder;
  Container twice = sample();
  twice.tensors.add("mask", zeros({1}));
  CHECK_THROWS_WITH_AS(write(folder / "a", twice), doctest::Contains("two tensors are named 'mask'"), Error);
  twice = sample();
  twice.carried.push_back(carried("mask", ElementKind::i4, {1}));
  CHECK_THROWS_WITH_AS(write(folder / "a", twice), doctest::Contains("two tensors are named 'mask'"), Error);
  CHECK_THROWS_WITH_AS(write(folder / "a", of({{"nothing", Tensor()}})),
                       doctest::Contains("'nothing' is undefined"), Error);
  Container wrong = of({});
  wrong.carried = {{"x", ElementKind::complex64, {2}, std::make_shared<Storage>(cpu_backend(), 8)}};
  CHECK_THROWS_WITH_AS(write(folder / "a", wrong), doctest::Contains("has 8 bytes; required are 16"), Error);
  wrong.carried = {{"x", ElementKind::f32, {2}, std::make_shared<Storage>(cpu_backend(), 8)}};
  CHECK_THROWS_WITH_AS(write(folder / "a", wrong), doctest::Contains("of a kind that tensors hold"), Error);
  CHECK(folder.entries() == 0);
}
