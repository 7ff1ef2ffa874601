// Tensors on a device: saved from there and loaded into it, bit for bit, without the host touching its
// memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>
#include <varve/io/checkpoint_directory.h>
#include <varve/io/ferries.h>
#include <varve/io/foreign/safetensors.h>
#include <varve/io/reader.h>
#include <varve/io/snapshot.h>

#include "tests/away_backend.h"
#include "tests/io/samples.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

namespace {

// Of every layout, with what is shared and what is broadcast; more chunks than ferries, and more small
// tensors than fit into one.
NamedTensors state() {
  NamedTensors out;
  const Tensor large = noise(DType::f32, {1300, 1001}, 1);
  out.add("large", large);
  out.add("tied", transpose(large));
  out.add("row", slice(large, 0, 3, 4));
  const Tensor wide = noise(DType::f16, {64, 40}, 2);
  out.add("left", slice(wide, 1, 0, 7));
  out.add("overlaps it", slice(wide, 1, 5, 12));
  out.add("gaps", slice(noise(DType::i16, {900}, 3), 0, 0, 900, 3));
  out.add("backwards", flip(noise(DType::u8, {77}, 4), 0));
  out.add("broadcast", expand(noise(DType::f64, {1, 5}, 5), {4, 5}));
  out.add("mask", noise(DType::boolean, {1'500'000}, 6));
  out.add("empty", zeros({0, 3}));
  out.add("scalar", noise(DType::i64, {}, 7));
  for (int i = 0; i < 3000; ++i)
    out.add("small" + std::to_string(i), noise(DType::f32, {100}, 100 + static_cast<uint32_t>(i)));
  return out;
}

NamedTensors moved(const NamedTensors& tensors, AwayBackend& to) {
  std::map<Storage*, std::shared_ptr<Storage>> storages;
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) {
    auto& storage = storages[tensor.value().storage.get()];
    if (!storage) storage = to.copied(*tensor.value().storage);
    out.add(name, AwayBackend::viewed(tensor, storage));
  }
  return out;
}

void check_there(AwayBackend& on, const NamedTensors& there, const NamedTensors& expected) {
  REQUIRE(there.size() == expected.size());
  for (size_t i = 0; i < there.size(); ++i) {
    CAPTURE(expected[i].name);
    CHECK(identical(on.back(there[i].tensor), expected[i].tensor));
  }
}

io::Container file_of(const NamedTensors& tensors) { return {"state_dict", {}, tensors, {}, {}}; }

// Of what a file may fill: each element in a place of its own, as it lies in `like`, and apart from the
// others.
NamedTensors targets(const NamedTensors& like, AwayBackend& on) {
  NamedTensors out;
  for (const auto& [name, tensor] : like)
    out.add(name,
            on.moved(name == "broadcast"
                         ? zeros(tensor.shape(), tensor.dtype())
                         : AwayBackend::viewed(tensor, std::make_shared<Storage>(
                                                           cpu_backend(), tensor.value().storage->bytes()))));
  return out;
}

}  // namespace

TEST_CASE("what lies on a device is saved as it would be from the CPU, byte for byte") {
  AwayBackend away;
  const NamedTensors here = state();
  {
    NamedTensors both = moved(here, away);
    both[0] = here[0];  // one of three that share it
    for (const io::Codec codec : kAllCodecs) {
      CAPTURE(io::name_of(codec));
      CHECK(bytes_of(file_of(moved(here, away)), codec) == bytes_of(file_of(here), codec));
    }
    const io::Container read = io::Reader(io::from_memory(bytes_of(file_of(both)))).read();
    for (size_t i = 0; i < here.size(); ++i) CHECK(identical(read.tensors[i].tensor, here[i].tensor));
  }
  CHECK(away.used == 0);
  io::MemorySink sink;
  io::write_safetensors(sink, file_of({{"tied", moved(here, away)[1].tensor}}));
  const io::Container other = io::read_safetensors(io::from_memory(sink.take()));
  CHECK(identical(other.tensors[0].tensor, here[1].tensor));
}

TEST_CASE("what is loaded into a device's memory has the bits of the file, however it lies there") {
  AwayBackend away;
  const NamedTensors here = state();
  for (const io::Codec codec : kAllCodecs) {
    CAPTURE(io::name_of(codec));
    const io::Bytes file = bytes_of(file_of(here), codec);
    const NamedTensors there = targets(here, away);
    const uint64_t version = there[0].tensor.value().storage->version();
    io::Reader(io::from_memory(std::span(file))).read_into(there);
    check_there(away, there, here);
    CHECK(there[0].tensor.value().storage->version() > version);
  }
  const NamedTensors converted{{"large", away.moved(zeros(here[0].tensor.shape(), DType::f64))}};
  const NamedTensors numbers{{"large", randn({1300, 1001})}};
  const io::Bytes file = bytes_of(file_of(numbers));
  io::Reader(io::from_memory(std::span(file))).read_into(converted);
  CHECK(identical(away.back(converted[0].tensor), cast(numbers[0].tensor, DType::f64)));
}

TEST_CASE("where a device has not room for both, the file comes by way of the host, or nothing is changed") {
  AwayBackend away;
  const NamedTensors here = state();
  const io::Bytes file = bytes_of(file_of(here));
  for (const size_t room : {size_t{6'000'000}, size_t{1000}}) {  // for the largest; for few
    CAPTURE(room);
    away.most_bytes = SIZE_MAX;
    const NamedTensors there = targets(here, away);
    NamedTensors before;
    for (const auto& [name, tensor] : there) before.add(name, away.back(tensor));
    away.most_bytes = away.used + room;
    if (room > 1000) {
      io::Reader(io::from_memory(std::span(file))).read_into(there);
      check_there(away, there, here);
    } else {
      CHECK(
          contains(message_of<Error>([&] { io::Reader(io::from_memory(std::span(file))).read_into(there); }),
                   "out of memory"));
      check_there(away, there, before);
    }
  }
}

TEST_CASE("ferries that cannot be had leave those that are there as they are") {
  AwayBackend away;
  io::Ferries ferries(2);
  const auto first = ferries.room(away, 100);
  const auto large = [&] { ferries.room(away, size_t{1} << 62); };
  CHECK_THROWS(large());
  CHECK_THROWS(large());
  CHECK(ferries.room(away, 200).size() == 200);
  CHECK(first.size() == 100);
  ferries.wait();
}

TEST_CASE("a damaged chunk, wherever it lies, changes nothing on any device") {
  AwayBackend away;
  const NamedTensors here = state();
  io::Bytes file = bytes_of(file_of(here));
  NamedTensors there = targets(here, away);
  NamedTensor& mask =
      *std::find_if(there.begin(), there.end(), [](const auto& t) { return t.name == "mask"; });
  mask.tensor = zeros(mask.tensor.shape(), DType::boolean);  // on the CPU
  const std::byte zero{};
  for (const NamedTensor& t : there)
    if (const Storage& s = *t.tensor.value().storage; t.tensor.device() != kCpu && s.bytes() > 0)
      away.fill(contiguous_view(s.data(), {DType::u8, {static_cast<int64_t>(s.bytes())}}), &zero);
  // In what is for the device, for the CPU, and in one of many small ones.
  for (const size_t at : {size_t{4096}, file.size() * 3 / 4, file.size() * 9 / 10}) {
    CAPTURE(at);
    const std::byte right = std::exchange(file[at], file[at] ^ std::byte{4});
    CHECK(contains(
        message_of<FormatError>([&] { io::Reader(io::from_memory(std::span(file))).read_into(there); }),
        "do not match their checksum"));
    for (const NamedTensor& t : there) {
      CAPTURE(t.name);
      const Tensor now = t.tensor.device() == kCpu ? t.tensor : away.back(t.tensor);
      CHECK(identical(now, zeros(now.shape(), now.dtype())));
    }
    file[at] = right;
  }
}

TEST_CASE("a snapshot stays on the device, or comes to the host where that has no room for it") {
  AwayBackend away;
  const NamedTensors here = state();
  const NamedTensors there = moved(here, away);
  for (const size_t most : {SIZE_MAX, away.used + 1'000'000}) {
    away.most_bytes = most;
    const NamedTensors kept = io::snapshot(there);
    CHECK((kept[0].tensor.device() == kCpu) == (most != SIZE_MAX));
    CHECK(kept[0].tensor.value().storage == kept[1].tensor.value().storage);
    const std::byte other{0x11};
    const Storage& s = *there[0].tensor.value().storage;
    const auto all = contiguous_view(s.data(), {DType::u8, {static_cast<int64_t>(s.bytes())}});
    away.fill(all, &other);
    CHECK(bytes_of(file_of(kept)) == bytes_of(file_of(here)));
    away.upload(here[0].tensor.view().data, s.data(), s.bytes());
  }
}

TEST_CASE("a checkpoint of a device's tensors is saved meanwhile, and says whether they have a NaN") {
  const TemporaryFolder folder;
  AwayBackend away;
  CheckpointDirectory saver(folder / "checkpoints");
  for (const bool has_nan : {false, true}) {
    Tensor w = randn({700, 600});
    if (has_nan) w.mutable_data<float>()[77777] = std::numeric_limits<float>::quiet_NaN();
    Checkpoint checkpoint{.step = has_nan ? 2 : 1};
    checkpoint.model.add("w", away.moved(w));
    checkpoint.model.add("half", away.moved(cast(ones({3}), DType::bf16)));
    checkpoint.model.add("here", ones({2}));
    checkpoint.model.add("none", away.moved(zeros({0})));
    saver.save_async(checkpoint);
    const std::byte other{0x11};
    const Tensor there = checkpoint.model[0].tensor;
    away.fill(contiguous_view(there.view().data, {DType::u8, {700 * 600 * 4}}), &other);
    saver.wait();
    const auto resumed = saver.resume_latest();
    REQUIRE(resumed);
    CHECK(identical(resumed->checkpoint.model[0].tensor, w));
    CHECK(io::Reader(resumed->path).meta().at("nan").as_bool() == has_nan);
  }
}
