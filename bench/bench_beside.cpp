// Training beside the library's own threads: an epoch whose batches the loader makes ahead, or not; and the
// time that training loses while an asynchronous checkpoint of 256 MiB is saved.
//
//   bench_beside [--rounds N] [--threads N] [--dir FOLDER] [--filter TEXT]
//   bench_beside --serve     reads the names of cases on stdin, answers each with its seconds
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <varve/bench/cases.h>
#include <varve/core/cpu/threads.h>
#include <varve/varve.h>

using namespace varve;
using bench::seconds;

namespace {

using Step = std::function<void(const Tensor& pixels, const Tensor& labels)>;

// A compiled step of a network that makes numbers of the bytes of images.
Step training(auto net) {
  const auto adam = std::make_shared<optim::Adam>(named_parameters(net));
  const auto step = [=](const Tensor& pixels, const Tensor& labels) {
    adam->zero_grad();
    const Tensor loss = nn::cross_entropy(net(cast(pixels, DType::f32) * (1.0 / 255)), labels);
    loss.backward();
    adam->step();
    return loss;
  };
  const auto compiled = std::make_shared<decltype(compile(step))>(compile(step));
  return [=](const Tensor& pixels, const Tensor& labels) { (*compiled)(pixels, labels); };
}

struct Images {
  explicit Images(int64_t count)
      : pixels(cast(rand({count, 784}) * 256, DType::u8)), labels(cast(rand({count}) * 10, DType::i64)) {}
  Tensor pixels, labels;
};

void add_epochs(bench::Cases& cases) {
  const Images images(60'000);
  const Step step = training(nn::Sequential(nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 10)));
  for (const bool prefetch : {false, true}) {
    const auto loader = std::make_shared<data::Loader>(
        images.pixels, images.labels,
        data::LoaderOptions{.batch_size = 64, .shuffle = true, .prefetch = prefetch});
    cases.add({prefetch ? "784-256-10/epoch-prefetch" : "784-256-10/epoch", 0, [=] {
                 return seconds([&] {
                   while (const auto batch = loader->next()) step(batch->inputs, batch->targets);
                 });
               }});
  }
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Of all rounds, in seconds.
struct Times {
  std::vector<double> alone, beside, saves;  // steps, and the saves beside which they ran
  std::string text() const {
    const auto ms = [](double time) { return fmt::format("{:.2f}", time * 1e3); };
    return fmt::format("a step {} ms, median {}, max {}; alone {}, median {}, max {}; saved in {}",
                       ms(mean(beside)), ms(bench::median(beside)), ms(bench::quantile(beside, 1)),
                       ms(mean(alone)), ms(bench::median(alone)), ms(bench::quantile(alone, 1)),
                       ms(bench::median(saves)));
  }
};

// How much longer the steps beside a save take, all together, than as many alone.
void add_save(bench::Cases& cases, const std::string& name, const Checkpoint& checkpoint,
              const std::string& folder, io::Codec codec) {
  const Step step = training(nn::Sequential(nn::Linear(784, 512), nn::ReLU(), nn::Linear(512, 256),
                                            nn::ReLU(), nn::Linear(256, 10)));
  const auto saver = std::make_shared<CheckpointDirectory>(
      folder, CheckpointDirectoryOptions{.keep_last = 1, .write = {codec}});
  const auto times = std::make_shared<Times>();
  const auto run = [=, batch = Images(256)] {
    const auto timed_step = [&] { return seconds([&] { step(batch.pixels, batch.labels); }); };
    std::vector<double> alone, beside;
    while (alone.size() < 100) alone.push_back(timed_step());
    saver->save_async(checkpoint);
    auto saved = std::async(std::launch::async, [&] { return seconds([&] { saver->wait(); }); });
    while (saved.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      beside.push_back(timed_step());
    times->saves.push_back(saved.get());
    times->alone.insert(times->alone.end(), alone.begin(), alone.end());
    times->beside.insert(times->beside.end(), beside.begin(), beside.end());
    return (mean(beside) - mean(alone)) * static_cast<double>(beside.size());
  };
  cases.add({name, 0, run, "", [=] { return times->text(); }});
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Training beside the threads that load and save"};
  bench::Options options;
  bench::add_options(app, options);
  std::string folder = (std::filesystem::temp_directory_path() / "varve-bench-beside").string();
  app.add_option("--dir", folder, "where the checkpoints go");
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  bench::Cases cases("");
  add_epochs(cases);
  Checkpoint checkpoint;
  for (int i = 0; i < 64; ++i) checkpoint.model.add(fmt::format("w{}", i), randn({1024, 1024}) * 0.02);
  add_save(cases, "784-512-256-10/lost-to-save", checkpoint, folder, io::Codec::none);
  add_save(cases, "784-512-256-10/lost-to-save-zstd", checkpoint, folder, io::Codec::zstd);
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_beside: %s\n", e.what());
  return 1;
}
