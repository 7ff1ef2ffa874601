// Training steps (forward, backward, Adam) on batches gathered by random index from 60,000 images of 784
// numbers, eager and compiled, beside the time their products alone would take at the multiply-add peak.
//
//   bench_train [--rounds N] [--threads N] [--filter TEXT] [--device cuda]
//   bench_train --serve      reads the names of cases on stdin, answers each with the seconds of a step
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include <varve/bench/cases.h>
#include <varve/bench/limits.h>
#include <varve/core/cpu/threads.h>
#include <varve/varve.h>

using namespace varve;

namespace {

struct Images {
  Tensor pixels = rand({60'000, 784});
  Tensor labels = cast(rand({60'000}) * 10, DType::i64);
  Tensor order = from_span(std::span<const int64_t>(data::permutation(60'000, 1, 0)), {60'000});
};

// A network, its optimizer, and where it is in the epoch.
template <class Net>
class Training {
 public:
  Training(Net net, int64_t batch, const Images& images)
      : net_(std::move(net)), adam_(named_parameters(net_)), batch_(batch), images_(images) {}

  Tensor step_on(const Tensor& rows) {
    const Tensor x = index_select(images_.pixels, 0, rows), y = index_select(images_.labels, 0, rows);
    const Tensor loss = nn::cross_entropy(net_(x), y);
    adam_.zero_grad();
    loss.backward();
    adam_.step();
    return loss;
  }
  Tensor next_rows() {
    if (at_ + batch_ > images_.order.size(0)) at_ = 0;
    at_ += batch_;
    return slice(images_.order, 0, at_ - batch_, at_);
  }

 private:
  Net net_;
  optim::Adam adam_;
  int64_t batch_, at_ = 0;
  const Images& images_;
};

// Of a step: both products of each layer's weights, and that of its input but for the first layer's.
double operations(const std::vector<int64_t>& sizes, int64_t batch) {
  double total = 0;
  for (size_t i = 1; i < sizes.size(); ++i)
    total += (i == 1 ? 2 : 3) * 2.0 * static_cast<double>(batch * sizes[i - 1] * sizes[i]);
  return total;
}

template <class Net>
void add(bench::Cases& cases, const std::string& name, const std::vector<int64_t>& sizes, int64_t batch,
         const Images& images, Net net) {
  const double work = operations(sizes, batch);
  const int steps = static_cast<int>(1e10 / work);  // of a run
  const auto training = std::make_shared<Training<Net>>(std::move(net), batch, images);
  const auto timed = [=](auto step) {
    return [=]() mutable {
      const double taken = bench::seconds([&] {
        Tensor loss;
        for (int i = 0; i < steps; ++i) loss = step(training->next_rows());
        loss.item();  // a GPU runs behind
      });
      return taken / steps;
    };
  };
  const auto step = [training](const Tensor& rows) { return training->step_on(rows); };
  const auto compiled = std::make_shared<decltype(compile(step))>(compile(step));
  const bool on_cpu = images.pixels.device() == kCpu;  // whose peak is known
  const std::string limit = on_cpu ? name + "/limit" : "";
  cases.add({name + "/eager", work, timed(step), limit});
  cases.add(
      {name + "/compiled", work, timed([compiled](const Tensor& rows) { return (*compiled)(rows); }), limit});
  if (on_cpu) cases.add({limit, work, [=] { return work / bench::peak_f32(threads()); }});
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Training steps, beside what their arithmetic needs"};
  bench::Options options;
  bench::add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  const OnDevice on(device_named(options.device));
  const Images images;
  bench::Cases cases("GFLOP/s");
  add(cases, "784-256-10", {784, 256, 10}, 64, images,
      nn::Sequential(nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 10)));
  add(cases, "784-512-256-10", {784, 512, 256, 10}, 256, images,
      nn::Sequential(nn::Linear(784, 512), nn::ReLU(), nn::Linear(512, 256), nn::ReLU(),
                     nn::Linear(256, 10)));
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_train: %s\n", e.what());
  return 1;
}
