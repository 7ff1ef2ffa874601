// The reader: any source, by name or whole, in place or copied or into tensors that are there already.
#include <varve/io/reader.h>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include <varve/core/cpu/threads.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/views.h>
#include <varve/io/layout.h>

#include "tests/allocations.h"
#include "tests/fixture.h"
#include "tests/io/samples.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::io;
using namespace varve::test;

namespace {

Bytes rewritten(const Reader& reader) { return test::bytes_of(reader.read()); }

Container large() {
  Container c{"state_dict", {}, {}, {}, {}};
  c.tensors.add("a", weights({600, 1000}, 1));
  c.tensors.add("b", transpose(weights({500, 700}, 2)));
  c.tensors.add("c", noise(DType::f64, {300'000}, 3));
  return c;
}

// Zeros: row-major, in the reverse order of axes, with gaps, or backwards.
Tensor target(int layout, const Shape& s, DType dtype) {
  if (layout == 0) return zeros(s, dtype);
  if (layout == 1) return permute(zeros({s[2], s[1], s[0]}, dtype), {2, 1, 0});
  if (layout == 2) return slice(zeros({s[0], s[1], 2 * s[2]}, dtype), 2, 0, 2 * s[2], 2);
  return flip(zeros(s, dtype), 1);
}

}  // namespace

TEST_CASE("a file is read from a path, a mapping, a descriptor, a pipe, a stream and memory") {
  const TemporaryFolder folder;
  const Bytes file = test::bytes_of(sample());
  put(folder / "a", file);
  CHECK(rewritten(Reader(folder / "a")) == file);
  CHECK(rewritten(Reader(map_file(folder / "a"))) == file);
  CHECK(rewritten(Reader(from_memory(std::span<const std::byte>(file)))) == file);
  std::istringstream stream(std::string(reinterpret_cast<const char*>(file.data()), file.size()));
  CHECK(rewritten(Reader(from_stream(stream))) == file);
  const int descriptor = ::open((folder / "a").c_str(), O_RDONLY);
  CHECK(rewritten(Reader(from_descriptor(descriptor))) == file);
  ::close(descriptor);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::thread writer([&] {
    DescriptorSink sink(ends[1]);
    write(sink, sample());
    ::close(ends[1]);
  });
  CHECK(rewritten(Reader(from_descriptor(ends[0]))) == file);
  writer.join();
  ::close(ends[0]);
}

TEST_CASE("a file is written to a stream as to memory, and a stream that fails is an error") {
  std::ostringstream stream;
  StreamSink sink(stream);
  write(sink, sample());
  CHECK(test::bytes_of(stream.str()) == test::bytes_of(sample()));
  stream.setstate(std::ios::badbit);
  CHECK_THROWS_AS(write(sink, sample()), IoError);
  std::ofstream full("/dev/full");  // takes bytes until it is flushed
  StreamSink to_full(full);
  CHECK_THROWS_AS(write(to_full, sample()), IoError);
  std::ifstream missing("/nonexistent/a");
  CHECK_THROWS_AS(from_stream(missing), IoError);
}

TEST_CASE("a pipe by name is refused, and not waited for") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_AS(Reader(folder / "pipe"), IoError);
}

TEST_CASE("what cannot be opened says why") {
  CHECK_THROWS_AS(Reader("/nonexistent/a"), IoError);
  CHECK_THROWS_AS(Reader("/"), IoError);
  CHECK_THROWS_AS(Reader("/dev/null"), IoError);
  CHECK_THROWS_AS(Reader(map_file("/nonexistent/a")), IoError);
  CHECK_THROWS_AS(from_descriptor(-1), IoError);
  CHECK(contains(message_of([] { Reader(from_memory(Bytes{})); }), "the file ends"));
}

TEST_CASE("a mapped file's tensors lie in it, and writing to them does not change it") {
  const TemporaryFolder folder;
  for (const Codec codec : kAllCodecs) {
    write(folder / "a", large(), {codec});
    const Bytes before = contents(folder / "a");
    Container mapped;
    {
      const SourcePtr source = map_file(folder / "a");
      mapped = Reader(source).map();
      const auto* data = static_cast<const std::byte*>(mapped.tensors[0].tensor.view().data);
      const bool inside = data >= source->memory().data() && data < source->memory().data() + source->size();
      CHECK(inside == (codec == Codec::none));
      if (inside) CHECK(reinterpret_cast<uintptr_t>(data) % 4096 == 0);
    }  // the tensors keep the mapping
    CHECK(test::bytes_of(mapped) == test::bytes_of(large()));
    mapped.tensors[0].tensor.fill(1);
    CHECK(contents(folder / "a") == before);
  }
}

TEST_CASE("tensors are read by name, and no others") {
  const TemporaryFolder folder;
  write(folder / "a", large());
  Bytes file = contents(folder / "a");
  file[8192] ^= std::byte{1};  // within "a"
  put(folder / "a", file);
  const Reader reader(folder / "a");
  CHECK_THROWS_AS(reader.read(), FormatError);
  const std::string names[] = {"c", "b"};
  const NamedTensors found = reader.read(names);
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "c");
  CHECK(identical(found[0].tensor, large().tensors[2].tensor));
  CHECK(identical(found[1].tensor, large().tensors[1].tensor));
  const std::string absent[] = {"z"}, complex[] = {"complex"};
  CHECK(contains(message_of([&] { reader.read(absent); }), "no tensor 'z'"));
  CHECK_THROWS_AS(Reader(from_memory(test::bytes_of(sample()))).read(complex), DTypeError);
}

TEST_CASE("tensors are filled from a file, whatever their layout and dtype") {
  for (const Codec codec : kAllCodecs) {
    const Reader reader(from_memory(test::bytes_of(large(), codec)));
    NamedTensors targets;
    targets.add("a", zeros({600, 1000}, DType::f64));
    targets.add("b", zeros({700, 500}));
    targets.add("c", slice(zeros({600'000}, DType::f64), 0, 0, 600'000, 2));
    reader.read_into(targets);
    const NamedTensors expected = large().tensors;
    CHECK(identical(targets[0].tensor, cast(expected[0].tensor, DType::f64)));
    CHECK(identical(targets[1].tensor, expected[1].tensor));
    CHECK(identical(targets[2].tensor, expected[2].tensor));
  }
}

TEST_CASE("tensors dense in any order of their axes fill targets of any layout, a chunk at a time") {
  const std::vector<Axes> orders{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  Container c{"state_dict", {}, {}, {}, {}};
  for (size_t i = 0; i < orders.size(); ++i)
    c.tensors.add(std::to_string(i), permute(weights({70, 90, 110}, i), orders[i]));
  for (const Codec codec : {Codec::none, Codec::zstd}) {
    const Reader reader(from_memory(test::bytes_of(c, codec)));
    const size_t room = (codec == Codec::none ? 1 : 3) * kChunkBytes;
    for (const DType dtype : {DType::f32, DType::f64})
      for (int layout = 0; layout < 4; ++layout) {
        NamedTensors targets;
        for (const auto& [name, t] : c.tensors) targets.add(name, target(layout, t.shape(), dtype));
        allocations.largest = 0;
        const size_t before = allocations.peak = allocations.live.load();
        reader.read_into(targets);
        CHECK(allocations.largest <= kChunkBytes);
        CHECK(allocations.peak - before <= room * static_cast<size_t>(threads()) + kChunkBytes / 4);
        for (size_t i = 0; i < targets.size(); ++i)
          CHECK(identical(targets[i].tensor, cast(c.tensors[i].tensor, dtype)));
      }
  }
}

TEST_CASE("filling tensors is all or nothing, and says what does not fit") {
  Bytes file = test::bytes_of(large());
  const Reader sound(from_memory(file));
  NamedTensors targets{{"a", zeros({600, 1000})}, {"c", zeros({300'000}, DType::f64)}};
  file[file.size() - 4096] ^= std::byte{1};  // the last bytes of "c"
  const auto damage = [&] { Reader(from_memory(file)).read_into(targets); };
  CHECK_THROWS_AS(damage(), FormatError);
  CHECK(identical(targets[0].tensor, zeros({600, 1000})));
  const auto shapes = [&] { sound.read_into({{"a", zeros({600, 1001})}}); };
  CHECK(contains(message_of(shapes), "has shape [600, 1000]; required is [600, 1001]"));
}

TEST_CASE("a target that cannot be written to is refused before any is") {
  Container c{"state_dict", {}, {{"x", weights({4}, 1)}, {"y", weights({3, 4}, 2)}}, {}, {}};
  const Reader reader(from_memory(test::bytes_of(c)));
  const Tensor x = zeros({4});
  const auto fill = [&] { reader.read_into({{"x", x}, {"y", expand(zeros({4}), {3, 4})}}); };
  CHECK(contains(message_of(fill), "'y' is broadcast"));
  CHECK(identical(x, zeros({4})));
}

TEST_CASE("of two targets in one place the later one stays, as when assigned in turn") {
  Container c{"state_dict", {}, {{"x", weights({1000}, 1)}, {"y", weights({1000}, 2)}}, {}, {}};
  const Tensor both = zeros({1000});
  Reader(from_memory(test::bytes_of(c))).read_into({{"x", both}, {"y", both}});
  CHECK(identical(both, c.tensors[1].tensor));
}

TEST_CASE("targets that overlap are filled in turn") {
  Container c{"state_dict", {}, {}, {}, {}};
  for (const char* name : {"x", "y", "z"}) c.tensors.add(name, weights({300, 1000}, name[0]));
  const Reader reader(from_memory(test::bytes_of(c)));
  for (const auto& order : {std::array{0, 1, 2}, {2, 1, 0}, {1, 0, 2}}) {
    const Tensor memory = zeros({900, 1000}), expected = zeros({900, 1000});
    NamedTensors targets;
    for (const int i : order) {
      const auto& [name, tensor] = c.tensors[static_cast<size_t>(i)];
      targets.add(name, slice(memory, 0, 200 * i, 200 * i + 300));
      slice(expected, 0, 200 * i, 200 * i + 300).assign(tensor);
    }
    reader.read_into(targets);
    CHECK(identical(memory, expected));
  }
}

TEST_CASE("a write into a tensor is seen by what was kept for backward") {
  const Tensor x = zeros({3, 1000});
  const uint64_t before = x.value().storage->version();
  Container c{"state_dict", {}, {{"x", weights({3, 1000}, 1)}}, {}, {}};
  Reader(from_memory(test::bytes_of(c))).read_into({{"x", x}});
  CHECK(x.value().storage->version() > before);
}

TEST_CASE("the fingerprint names the content, whatever the codec and the order") {
  Container c = large();
  const Fingerprint expected = Reader(from_memory(test::bytes_of(c))).fingerprint();
  for (const Codec codec : kAllCodecs)
    CHECK(Reader(from_memory(test::bytes_of(c, codec))).fingerprint() == expected);
  std::reverse(c.tensors.begin(), c.tensors.end());
  CHECK(Reader(from_memory(test::bytes_of(c))).fingerprint() == expected);
  CHECK(to_string(expected).size() == 32);

  std::vector<Container> others(6, large());
  others[0].kind = "model";
  others[1].meta = 1;
  others[2].tensors[0].name = "A";
  others[3].tensors[0].tensor[599][999].fill(0);
  others[4].tensors.add("d", zeros({1}));
  others[5].tensors[1].tensor = contiguous(others[5].tensors[1].tensor);
  for (const Container& other : others)
    CHECK(Reader(from_memory(test::bytes_of(other))).fingerprint() != expected);
}

TEST_CASE("one content has one encoding, whatever says nothing") {
  const auto fingerprint = [](const NamedTensors& tensors) {
    const Container c{"state_dict", {}, tensors, {}, {}};
    const Bytes bytes = test::bytes_of(c);
    const Reader reader(from_memory(bytes));
    CHECK(rewritten(reader) == bytes);
    return reader.fingerprint();
  };
  // The stride of an axis of one element.
  const Tensor column = weights({3, 1}, 1), row = transpose(weights({1, 3}, 1));
  CHECK(row.strides() != column.strides());
  CHECK(fingerprint({{"x", row}}) == fingerprint({{"x", column}}));
  CHECK(fingerprint({{"x", flip(weights({1, 4}, 1), 0)}}) == fingerprint({{"x", weights({1, 4}, 1)}}));
  // Where a tensor without elements is said to lie.
  const Tensor x = weights({4}, 1);
  for (const int64_t at : {0, 2, 4}) {
    const Tensor e = slice(x, 0, at, at);
    CHECK(fingerprint({{"x", x}, {"e", e}}) == fingerprint({{"e", e}, {"x", x}}));
    CHECK(fingerprint({{"x", x}, {"e", e}}) == fingerprint({{"x", x}, {"e", zeros({0})}}));
    CHECK(test::bytes_of(Container{"state_dict", {}, {{"e", e}}, {}, {}}).size() < 600);
  }
}

TEST_CASE("slices of one tensor that share no byte are stored for themselves, others together") {
  const Tensor all = weights({100, 1000}, 1);
  const auto column = [&](int64_t first, int64_t width) { return slice(all, 1, first, first + width); };
  const auto saved = [&](const NamedTensors& tensors) {
    const Reader reader(from_memory(test::bytes_of(Container{"state_dict", {}, tensors, {}, {}})));
    const NamedTensors found = reader.read().tensors;
    for (size_t i = 0; i < tensors.size(); ++i) CHECK(identical(found[i].tensor, tensors[i].tensor));
    std::vector<size_t> storages;
    for (const TensorInfo& t : reader.tensors()) storages.push_back(t.storage);
    return storages;
  };
  const NamedTensors apart{{"a", column(0, 1)}, {"b", column(999, 1)}, {"c", column(5, 2)}};
  CHECK(saved(apart) == std::vector<size_t>{0, 1, 2});
  CHECK(test::bytes_of(Container{"state_dict", {}, apart, {}, {}}).size() < 4000);
  CHECK(saved({{"a", column(0, 2)}, {"b", column(500, 2)}, {"c", column(1, 2)}}) ==
        std::vector<size_t>{0, 1, 0});
  CHECK(saved({{"a", column(0, 2)}, {"b", column(2, 2)}, {"c", column(1, 2)}}) ==
        std::vector<size_t>{0, 0, 0});
  CHECK(saved({{"a", column(3, 2)}, {"b", column(3, 2)}, {"c", transpose(column(3, 2))}}) ==
        std::vector<size_t>{0, 0, 0});
  CHECK(saved({{"a", column(1, 2)}, {"all", all}, {"b", column(7, 2)}}) == std::vector<size_t>{0, 0, 0});
}

TEST_CASE("sections have names of their own") {
  Container c{"state_dict", {}, {}, {}, {{"notes", {}}, {"notes", {}}}};
  CHECK(contains(message_of([&] { test::bytes_of(c); }), "'notes' is there twice"));
  c.sections = {{"meta", {}}};
  CHECK(contains(message_of([&] { test::bytes_of(c); }), "'meta' is there twice"));
}

TEST_CASE("verify reads everything and says which tensor is damaged and where") {
  Container c = large();
  Bytes file = test::bytes_of(c);
  Reader(from_memory(file)).verify();
  file[4096 + (2 << 20) + 5] ^= std::byte{1};  // the third chunk of "a"
  file[4096 + (1 << 20) + 5] ^= std::byte{1};
  try {
    Reader(from_memory(file)).verify();
    FAIL("accepted");
  } catch (const FormatError& e) {
    CHECK(e.offset() == 4096 + (1 << 20));  // the first, whichever thread was faster
    CHECK(contains(e.what(), "'a'"));
  }
}

TEST_CASE("memory that is not aligned is copied, not used in place") {
  const Bytes file = test::bytes_of(sample());
  std::vector<std::byte> room(file.size() + 64);
  for (const size_t shift : {size_t{0}, size_t{1}, size_t{4}}) {
    const std::span<std::byte> place(room.data() + shift, file.size());
    std::copy(file.begin(), file.end(), place.begin());
    const Container found = Reader(from_memory(std::span<const std::byte>(place))).map();
    const auto* data = found.tensors.find("weight")->view().as<const std::byte>();
    CHECK(reinterpret_cast<uintptr_t>(data) % 16 == 0);
    CHECK((data >= place.data() && data < place.data() + place.size()) == (shift == 0));
  }
}

TEST_CASE("streams that throw are read and written all the same") {
  std::stringstream stream;
  stream.exceptions(std::ios::failbit | std::ios::badbit | std::ios::eofbit);
  StreamSink sink(stream);
  write(sink, sample());
  CHECK(Reader(from_stream(stream)).read().tensors.size() == sample().tensors.size());
  std::ostream broken(nullptr);
  StreamSink nowhere(broken);
  CHECK_THROWS_AS(write(nowhere, sample()), IoError);
}
