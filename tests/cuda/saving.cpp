// Saved from the GPU and loaded into it: the same file and the same bits as on the CPU, and what is asked of
// the GPU meanwhile changes neither.
#include <varve/io/reader.h>
#include <varve/varve.h>

#include <vector>

#include "tests/copied.h"
#include "tests/core/parity.h"
#include "tests/cuda/gpu.h"
#include "tests/io/same.h"
#include "tests/io/samples.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr int64_t kLarge = kSimulated ? 700 : 5000;
constexpr int64_t kWidth = kSimulated ? 64 : 512, kBatch = kWidth / 2, kSteps = kSimulated ? 4 : 20;

// Of every dtype, some larger than many chunks, with views that share memory.
NamedTensors state_on(Device device) {
  NamedTensors out;
  for (size_t d = 0; d < kDTypes; ++d) {
    const auto dtype = static_cast<DType>(d);
    out.add(std::string(name_of(dtype)), noise(dtype, {33, 7}, static_cast<uint32_t>(d)).to(device));
  }
  const Tensor large = noise(DType::f32, {kLarge, kLarge + 3}, 50).to(device);
  out.add("large", large);
  out.add("tied", transpose(large));
  out.add("row", slice(large, 0, 3, 4));
  const Tensor wide = noise(DType::bf16, {640, 401}, 51).to(device);
  out.add("left", slice(wide, 1, 0, 70));
  out.add("overlaps it", slice(wide, 1, 50, 120));
  out.add("gaps", slice(noise(DType::i16, {9000}, 52).to(device), 0, 0, 9000, 3));
  out.add("backwards", flip(noise(DType::u8, {3 * kLarge * kLarge / 25 + 1}, 53).to(device), 0));
  out.add("broadcast", expand(noise(DType::f64, {1, 5}, 54).to(device), {4, 5}));
  out.add("mask", noise(DType::boolean, {kLarge * kLarge / 16}, 55).to(device));
  out.add("empty", zeros({0, 3}).to(device));
  for (uint32_t i = 0; i < 500; ++i)
    out.add("small" + std::to_string(i), noise(DType::f32, {100}, 100 + i).to(device));
  return out;
}

NamedTensors zeros_on(Device device, const NamedTensors& like) {
  NamedTensors out;
  const OnDevice on(device);
  for (const auto& [name, tensor] : like) out.add(name, zeros(tensor.shape(), tensor.dtype()));
  return out;
}

struct Net {
  nn::Linear ln1{kWidth, 4 * kWidth}, ln2{4 * kWidth, kWidth};
  Tensor operator()(const Tensor& x) const { return ln2(relu(ln1(x))); }
  static void members(auto& self, auto&& visit) { visit("ln1", self.ln1), visit("ln2", self.ln2); }
};

}  // namespace

TEST_CASE("a file saved on either device is the same, and loads on the other bit for bit") {
  if (!gpu()) return;
  const TemporaryFolder folder;
  const NamedTensors here = state_on(kCpu), there = state_on(kCuda);
  for (const io::Codec codec : {io::Codec::none, io::Codec::zstd}) {
    CAPTURE(io::name_of(codec));
    save(folder / "here.varve", here, {codec});
    save(folder / "there.varve", there, {codec});
    CHECK(contents(folder / "here.varve") == contents(folder / "there.varve"));
    check_same(load(folder / "there.varve"), here);
    const NamedTensors on_gpu = zeros_on(kCuda, there), on_cpu = zeros_on(kCpu, here);
    load_into(on_gpu, folder / "here.varve");
    load_into(on_cpu, folder / "there.varve");
    check_same(on_gpu, here);
    check_same(on_cpu, here);
    // And what is asked of the GPU next finds them there.
    const NamedTensors again = zeros_on(kCuda, there);
    load_into(again, folder / "there.varve");
    CHECK(identical(again.find("large")->to(kCuda), *there.find("large")));
    CHECK(sum(again.find("mask")->detach()).item() == sum(here.find("mask")->detach()).item());
  }
  io::MemorySink sink;
  io::write_safetensors(sink, {"state_dict", {}, {{"large", *there.find("tied")}}, {}, {}});
  CHECK(identical(io::read_safetensors(io::from_memory(sink.take())).tensors[0].tensor, *here.find("tied")));
}

TEST_CASE("targets on the GPU may lie in any way and be of another dtype") {
  if (!gpu()) return;
  const TemporaryFolder folder;
  const NamedTensors from{{"x", randn({1000, 700})}, {"y", randn({300, 20})}};
  save(folder / "from.varve", from);
  const OnDevice on(kCuda);
  const NamedTensors to{{"x", transpose(zeros({700, 1000}, DType::f64))},
                        {"y", slice(zeros({300, 90}), 1, 3, 23)}};
  load_into(to, folder / "from.varve", {.cast = true});
  CHECK(identical(to[0].tensor, cast(from[0].tensor, DType::f64)));
  CHECK(identical(to[1].tensor, from[1].tensor));
}

TEST_CASE("a damaged chunk changes nothing on the GPU") {
  if (!gpu()) return;
  const TemporaryFolder folder;
  save(folder / "state.varve", state_on(kCpu));
  io::Bytes bytes = contents(folder / "state.varve");
  const NamedTensors target = zeros_on(kCuda, state_on(kCpu));
  for (const size_t at : {bytes.size() / 3, bytes.size() * 9 / 10}) {
    CAPTURE(at);
    bytes[at] ^= std::byte{1};
    put(folder / "damaged.varve", bytes);
    bytes[at] ^= std::byte{1};
    CHECK(contains(message_of<FormatError>([&] { load_into(target, folder / "damaged.varve"); }),
                   "do not match their checksum"));
    check_same(target, zeros_on(kCpu, target));
  }
  load_into(target, folder / "state.varve");
  check_same(target, state_on(kCpu));
}

TEST_CASE("where the GPU has no room for both, what is loaded comes by way of the host") {
  Backend* const on = gpu();
  if (!on) return;
  const TemporaryFolder folder;
  NamedTensors from;
  for (uint32_t i = 0; i < 4; ++i)
    from.add("x" + std::to_string(i), noise(DType::u8, {static_cast<int64_t>(16 * kMiB)}, i));
  save(folder / "from.varve", from);
  const NamedTensors to = zeros_on(kCuda, from);
  const size_t size = 16 * kMiB;
  void* const spare[] = {on->allocate(size), on->allocate(size)};
  std::vector<std::pair<void*, size_t>> taken;
  for (size_t bytes = size_t{64} << 30; bytes >= size; bytes /= 2) {
    try {
      for (;;) taken.emplace_back(on->allocate(bytes), bytes);
    } catch (const Error&) {  // as many as there are
    }
  }
  for (void* const data : spare) on->release(data, size);
  const std::string said = message_of([&] { load_into(to, folder / "from.varve"); });
  for (const auto& [data, bytes] : taken) on->release(data, bytes);
  CHECK(said == "nothing was thrown");
  check_same(to, from);
}

TEST_CASE("an asynchronous checkpoint has the state at the time of the call, whatever training does next") {
  if (!gpu()) return;
  const TemporaryFolder folder;
  manual_seed(5);
  Net net;
  to(net, kCuda);
  optim::Adam adam(named_parameters(net), {.lr = 1e-3});
  const OnDevice on(kCuda);
  const Tensor x = randn({kBatch, kWidth}), y = randn({kBatch, kWidth});
  auto step = compile([&](const Tensor& inputs, const Tensor& targets) {
    adam.zero_grad();
    const Tensor loss = nn::mse_loss(net(inputs), targets);
    loss.backward();
    adam.step();
    return loss;
  });
  CheckpointDirectory saver(folder / "checkpoints", {.keep_last = 10});
  std::vector<NamedTensors> models, optimizers;
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t k = 0; k < kSteps; ++k) step(x, y);
    models.push_back(copied(state_dict(net)));
    optimizers.push_back(copied(adam.state_dict()));
    saver.save_async({.step = i, .model = state_dict(net), .optimizer = adam.state_dict()});
    for (int64_t k = 0; k < kSteps; ++k) step(x, y);
  }
  saver.wait();
  for (size_t i = 0; i < 4; ++i) {
    const Checkpoint saved =
        load_checkpoint(folder / ("checkpoints/checkpoint-00000000000" + std::to_string(i) + ".varve"));
    check_same(saved.model, models[i]);
    check_same(saved.optimizer, optimizers[i]);
  }
  CHECK(!identical(models[0][0].tensor, models[1][0].tensor));
}

TEST_CASE(
    "a ferry carries after what was asked for before it, and before what is asked for once it is gone") {
  Backend* const on = gpu();
  if (!on) return;
  const OnDevice there(kCuda);
  const int64_t count = kSimulated ? 1 << 16 : 1 << 22;
  const size_t bytes = static_cast<size_t>(count) * 4;
  const Tensor x = zeros({count});
  for (int i = 0; i < 200; ++i) x.assign(x + 1);
  {
    const auto ferry = on->ferry(bytes);
    ferry->download(x.view().data, ferry->room().data(), bytes);
    ferry->wait();
    const auto* numbers = reinterpret_cast<const float*>(ferry->room().data());
    CHECK(std::all_of(numbers, numbers + count, [](float n) { return n == 200; }));
  }
  for (int round = 0; round < 20; ++round) {  // the same memory goes back and forth
    for (int k = 0; k < 3; ++k) {
      const auto ferry = on->ferry(bytes);
      auto* numbers = reinterpret_cast<float*>(ferry->room().data());
      std::fill_n(numbers, count, static_cast<float>(10 * round + k));
      ferry->upload(ferry->room().data(), x.view().data, bytes);
      if (k == 1) x.assign(x + 1000);  // unordered beside this one; what the next carries comes after
    }
    const Tensor y = x + 0.5;
    CHECK(min(y).item() == 10 * round + 2.5);
    CHECK(max(y).item() == 10 * round + 2.5);
  }
}
