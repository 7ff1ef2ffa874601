// How long one answer of the 784-256-10 network takes, from a compiled plan without gradients: the median and
// the 99th percentile of many calls, each timed, beside what its products would take at the multiply-add
// peak.
//
//   bench_infer [--rounds N] [--threads N] [--filter TEXT] [--weights FILE]
//   bench_infer --serve    reads the names of cases on stdin, answers each with its seconds
//
// --weights leaves the network's weights in a file of safetensors, for those who want to run the same.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <varve/bench/cases.h>
#include <varve/bench/limits.h>
#include <varve/core/cpu/threads.h>
#include <varve/varve.h>

using namespace varve;

namespace {

// The quantile of many calls.
std::function<double()> timed(double q, std::function<void()> call) {
  return [=] {
    constexpr int kCalls = 1000;
    const NoGrad guard;
    std::vector<double> times;
    for (int i = 0; i < kCalls; ++i) times.push_back(bench::seconds(call));
    return bench::quantile(std::move(times), q);
  };
}

void add(bench::Cases& cases, const auto& net, int64_t batch) {
  const Tensor x = rand({batch, 784}), y = zeros({batch, 10});
  const auto answer = [net](const Tensor& in) { return net(in); };
  const auto compiled = std::make_shared<decltype(compile(answer))>(compile(answer));
  const auto inference = std::make_shared<Inference>(net, Tensors{x});
  const double work = 2.0 * static_cast<double>(batch) * (784 * 256 + 256 * 10);
  const auto both = [&](const std::string& name, const std::function<void()>& call) {
    cases.add({name + "/median", work, timed(0.5, call), "peak"});
    cases.add({name + "/99th", work, timed(0.99, call), "peak"});
  };
  const std::string name = "batch-" + std::to_string(batch);
  both(name, [=] { inference->run({x}, {y}); });
  both(name + "/compiled", [=] { (*compiled)(x); });
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Answers of a small network, one after the other"};
  bench::Options options;
  bench::add_options(app, options);
  std::string weights;
  app.add_option("--weights", weights, "leave the weights in this file");
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  const nn::Sequential net(nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 10));
  if (!weights.empty()) io::write_safetensors(weights, {"state_dict", {}, state_dict(net), {}, {}});
  bench::Cases cases("GFLOP/s");
  for (const int64_t batch : {1, 16}) add(cases, net, batch);
  cases.add(bench::peak_case("peak"));
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_infer: %s\n", e.what());
  return 1;
}
