// The update of Adam, beside the triad over as many parameters, on a GPU beside a copy of as many bytes: all
// seven passes over memory (p, m, v in and out, the gradient in) are counted.
//
//   bench_adam [--rounds N] [--threads N] [--filter TEXT] [--device cuda]
//   bench_adam --serve     reads the names of cases on stdin, answers each with the seconds of a step
//
// "32M" is one parameter of 32 million f32, "784-256-10" the four of that network.
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

void add(bench::Cases& cases, const std::string& name, const std::vector<Shape>& shapes) {
  NamedTensors parameters;
  int64_t count = 0;
  for (const Shape& shape : shapes) {
    Tensor p = randn(shape) * 0.02;
    p.set_requires_grad();
    p.set_grad(randn(shape) * 0.01);
    count += p.numel();
    parameters.add("p" + std::to_string(parameters.size()), std::move(p));
  }
  const double bytes = 7.0 * sizeof(float) * static_cast<double>(count);
  const int steps = static_cast<int>(1 + 10'000'000 / count);  // of a run
  const auto timed = [=](auto step) {
    return [=] {
      const double taken = bench::device_seconds([&] {
        for (int i = 0; i < steps; ++i) step();
      });
      return taken / steps;
    };
  };
  const auto adam = std::make_shared<optim::Adam>(parameters);
  const auto step = [adam] { adam->step(); };
  const auto compiled = std::make_shared<decltype(compile(step))>(compile(step));
  const std::string ceiling = name + (current_device() == kCpu ? "/triad" : "/copy");
  cases.add({name + "/eager", bytes, timed(step), ceiling});
  cases.add({name + "/compiled", bytes, timed([compiled] { (*compiled)(); }), ceiling});
  if (current_device() == kCpu) {
    cases.add(bench::triad_case(ceiling, 2 * count, true));  // its two arrays like our four
  } else {
    const Tensor from = zeros({7 * count / 2}), to = zeros({7 * count / 2});
    cases.add({ceiling, bytes, timed([=] { to.assign(from); })});
  }
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"The update of Adam, beside the triad"};
  bench::Options options;
  bench::add_options(app, options);
  bench::add_device(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  const OnDevice on(device_named(options.device));
  bench::Cases cases("GB/s");
  add(cases, "32M", {{32'000'000}});
  add(cases, "784-256-10", {{256, 784}, {256}, {10, 256}, {10}});
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_adam: %s\n", e.what());
  return 1;
}
