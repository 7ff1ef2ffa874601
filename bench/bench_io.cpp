// Saving and loading: each case in turn with its ceiling, round after round, and the medians of both.
//
//   bench_io [--rounds N] [--threads N] [--dir FOLDER] [--large] [--filter TEXT]
//   bench_io --device cuda      tensors that lie there, beside copies between it and pinned memory
//   bench_io --serve       reads the names of cases on stdin, answers with the seconds each took: what peers
//   are interleaved with
//
// "many" is 5,000 tensors of 64 f32, "big" 64 of 1024x1024 (on a device: of 2048x2048). No case syncs to the
// disk but save_durable/*.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <varve/bench/cases.h>
#include <varve/core/cpu/threads.h>
#include <varve/io/durable.h>
#include <varve/io/foreign/safetensors.h>
#include <varve/varve.h>

#include "tests/io/crash/forwarding.h"

using namespace varve;
using bench::seconds;

namespace {

class Nowhere : public io::Sink {
 public:
  void write(std::span<const std::byte>) override {}
};

// The disk without its syncs, as the peers use it.
class Unsynced : public test::Forwarding {
 public:
  Unsynced() : Forwarding(io::system_files()) {}
  int sync(int) override { return 0; }
};

NamedTensors random_tensors(int count, const Shape& shape) {
  NamedTensors out;
  Generator generator(1);
  for (int i = 0; i < count; ++i)
    out.add(fmt::format("layers.{}.weight", i), randn(shape, DType::f32, generator) * 0.02);
  return out;
}
double bytes_of(const NamedTensors& state) {
  double total = 0;
  for (const auto& [name, tensor] : state) total += static_cast<double>(tensor.spec().bytes());
  return total;
}

Tensors copied(const NamedTensors& state) {
  Tensors out;
  for (const auto& [name, tensor] : state) out.push_back(clone(tensor));
  return out;
}

class Bench {
 public:
  Bench(std::filesystem::path folder, Device device) : folder_(std::move(folder)) {
    if (device != kCpu) {
      const OnDevice on(device);
      add_device("big", random_tensors(64, {2048, 2048}));
      add_device("many", random_tensors(5000, {64}));
      return;
    }
    add_states("big", random_tensors(64, {1024, 1024}));
    add_states("many", random_tensors(5000, {64}));
    add_async("big", random_tensors(64, {1024, 1024}));
    for (const DType dtype : {DType::f32, DType::bf16}) add_codecs(dtype);
  }
  void add_large();

  const bench::Cases& cases() const { return cases_; }

 private:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static io::Container container(const NamedTensors& state) { return {"state_dict", {}, state, {}, {}}; }
  void add_states(const std::string& size, const NamedTensors& state);
  void add_async(const std::string& size, const NamedTensors& state);
  void add_device(const std::string& size, const NamedTensors& state);
  void add_codecs(DType dtype);
  void write_plainly(const std::string& file, const NamedTensors& state, bool synced) const;

  std::filesystem::path folder_;
  bench::Cases cases_{"GB/s"};
  Unsynced unsynced_;
};

// What any program pays to write these bytes.
void Bench::write_plainly(const std::string& file, const NamedTensors& state, bool synced) const {
  const int descriptor = ::open(path(file).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  io::DescriptorSink sink(descriptor);
  io::Bytes joined;  // small tensors together
  for (const auto& [name, tensor] : state) {
    const std::span bytes(tensor.view().as<const std::byte>(), tensor.spec().bytes());
    if (bytes.size() > 65536)
      sink.write(bytes);
    else
      joined.insert(joined.end(), bytes.begin(), bytes.end());
  }
  sink.write(joined);
  if (synced) ::fsync(descriptor);
  ::close(descriptor);
}

void Bench::add_states(const std::string& size, const NamedTensors& state) {
  const double bytes = bytes_of(state);
  const auto file = path(size + ".varve");
  const auto add = [&](const std::string& what, std::function<void()> f, const std::string& ceiling = "") {
    cases_.add(
        {what + "/" + size, bytes, [f] { return seconds(f); }, ceiling.empty() ? "" : ceiling + "/" + size});
  };
  io::write(file, container(state), {}, unsynced_);
  io::durable_write(path(size + ".safetensors"), {0, &unsynced_},
                    [&](io::Sink& sink) { io::write_safetensors(sink, container(state)); });
  add(
      "save", [=, this] { io::write(path(size + "_saved.varve"), container(state), {}, unsynced_); },
      "write");
  add(
      "save_durable", [=, this] { io::write(path(size + "_durable.varve"), container(state)); },
      "write_synced");
  add(
      "load", [=] { load(file); }, "copy");
  add(
      "load_into", [=, target = io::read(file).tensors] { load_into(target, file); }, "copy_over");
  add("open_mapped", [=] { io::Reader(io::map_file(file)).map(); });
  add("verify", [=] { io::Reader(file).verify(); });
  add("write", [=, this] { write_plainly(size + ".bytes", state, false); });
  add("write_synced", [=, this] { write_plainly(size + ".synced", state, true); });
  add("copy_over", [state, copies = copied(state)] {
    for (size_t i = 0; i < copies.size(); ++i) copies[i].assign(state[i].tensor);
  });
  // All of a copy lives until it is done, as what is loaded or kept for another thread does: where each part
  // is dropped at once the next one takes its memory, which costs no page and is still in the cache.
  cases_.add({"copy/" + size, bytes, [state] {
                Tensors copies;
                return seconds([&] { copies = copied(state); });
              }});
}

// The step that saves: how long it is held up, against a copy of the state.
void Bench::add_async(const std::string& size, const NamedTensors& state) {
  const auto checkpoint = std::make_shared<Checkpoint>();
  checkpoint->model = state;
  const std::string folder = path(size + "_checkpoints");
  const auto saver = std::make_shared<CheckpointDirectory>(
      folder, CheckpointDirectoryOptions{.keep_last = 1, .files = &unsynced_});
  const auto run = [=] {
    const double taken = seconds([&] { saver->save_async(*checkpoint); });
    saver->wait();
    return taken;
  };
  cases_.add({"save_async/" + size, bytes_of(state), run, "copy/" + size});
}

// What a device's tensors take on their way, beside as many bytes from and to memory that it reaches by
// itself.
void Bench::add_device(const std::string& size, const NamedTensors& state) {
  const double bytes = bytes_of(state);
  const auto file = path(size + ".varve");
  io::write(file, container(state), {}, unsynced_);
  const auto add = [&, mark = zeros({})](const std::string& what, std::function<void()> f,
                                         const std::string& ceiling = "") {
    const auto run = [=] {
      mark.item();  // nothing of the device is left to do, neither now nor when the time is taken
      return seconds([&] { f(), mark.item(); });
    };
    cases_.add({what + "/" + size, bytes, run, ceiling.empty() ? "" : ceiling + "/" + size});
  };
  NamedTensors target, here;
  for (const auto& [name, tensor] : state) target.add(name, clone(tensor)), here.add(name, tensor.to(kCpu));
  add(
      "load_into", [=] { load_into(target, file); }, "pinned_to_device");
  add(
      "save", [=, this] { io::write(path(size + "_saved.varve"), container(state), {}, unsynced_); },
      "write");
  add(
      "save_nowhere",
      [=] {
        Nowhere out;
        io::write(out, container(state));
      },
      "device_to_pinned");
  add("write", [=, this] { write_plainly(size + ".bytes", here, false); });
  // One large piece of pinned memory, again and again.
  Backend& on = state[0].tensor.value().storage->backend();
  const size_t piece = std::min(static_cast<size_t>(bytes), size_t{256} << 20);
  const auto times = static_cast<size_t>(bytes) / piece;
  const std::shared_ptr<Ferry> ferry = on.ferry(piece);
  const auto there = std::make_shared<Storage>(on, piece);
  add("pinned_to_device", [=] {
    for (size_t i = 0; i < times; ++i) ferry->upload(ferry->room().data(), there->data(), piece);
    ferry->wait();
  });
  add("device_to_pinned", [=] {
    for (size_t i = 0; i < times; ++i) ferry->download(there->data(), ferry->room().data(), piece);
    ferry->wait();
  });
  add_async(size, state);
  add("copy", [=] { copied(state); });
}

// Weights that were trained: random ones code differently. A few steps of Adam on targets a random network
// gives.
Tensor trained_weights() {
  Generator generator(3);
  const Tensor truth = randn({256, 64}, DType::f32, generator);
  nn::Sequential net(nn::Linear(256, 2048), nn::ReLU(), nn::Linear(2048, 64));
  optim::Adam adam(named_parameters(net), {.lr = 1e-3});
  for (int step = 0; step < 100; ++step) {
    const Tensor x = randn({128, 256}, DType::f32, generator);
    zero_grad(net);
    nn::mse_loss(net(x), tanh(matmul(x, truth))).backward();
    adam.step();
  }
  return named_parameters(net).front().tensor.detach();
}

// One core's speed over planes and zstd or zlib.
void Bench::add_codecs(DType dtype) {
  constexpr size_t kCopies = 32;  // 64 MiB of f32
  static const Tensor weights = trained_weights();
  const Tensor many = cast(cat(Tensors(kCopies, weights), 0), dtype);
  const io::Container content = container({{"weights", many}});
  const auto bytes = static_cast<double>(many.spec().bytes());
  io::durable_write(path(fmt::format("weights_{}.safetensors", name_of(dtype))), {0, &unsynced_},
                    [&](io::Sink& sink) { io::write_safetensors(sink, content); });
  for (const io::Codec codec : {io::Codec::zstd, io::Codec::zlib}) {
    io::MemorySink sink;
    io::write(sink, content, {codec});
    const auto coded = std::make_shared<const io::Bytes>(sink.take());
    const double ratio = static_cast<double>(coded->size()) / bytes;
    const std::string name = fmt::format("{}/{}", io::name_of(codec), name_of(dtype));
    cases_.add({"encode_" + name, bytes,
                [=] {
                  Nowhere out;
                  return seconds([&] { io::write(out, content, {codec}); });
                },
                "", [=] { return fmt::format("{:.3f} of the bytes", ratio); }});
    // What decoding costs, and what it costs into new memory, whose pages come on top.
    cases_.add({"decode_" + name, bytes,
                [=] { return seconds([&] { io::Reader(io::from_memory(std::span(*coded))).verify(); }); }});
    cases_.add({"read_" + name, bytes,
                [=] { return seconds([&] { io::Reader(io::from_memory(std::span(*coded))).read(); }); }});
  }
}

// 64 tensors, 10 GB: opening must not depend on what there is to read.
void Bench::add_large() {
  const auto file = path("large.varve");
  if (!std::filesystem::exists(file)) {
    NamedTensors state;
    for (int i = 0; i < 64; ++i) state.add(fmt::format("layers.{}.weight", i), zeros({40, 1024, 1024}));
    io::write(file, container(state), {}, unsynced_);
  }
  cases_.add({"open_mapped/large", static_cast<double>(std::filesystem::file_size(file)),
              [=] { return seconds([&] { io::Reader(io::map_file(file)).map(); }); }});
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Saving and loading, beside what the machine could do"};
  bench::Options options;
  bench::add_options(app, options);
  bench::add_device(app, options);
  std::string folder = (std::filesystem::temp_directory_path() / "varve-bench-io").string();
  bool large = false;
  app.add_option("--dir", folder, "where the files go; about 2 GB, and 10 more with --large");
  app.add_flag("--large", large, "also a file of 10 GB");
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  std::filesystem::create_directories(folder);
  Bench bench(folder, device_named(options.device));
  if (large) bench.add_large();
  bench.cases().run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_io: %s\n", e.what());
  return 1;
}
