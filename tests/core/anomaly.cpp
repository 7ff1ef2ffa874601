// Anomaly mode: the op that first made a NaN is named, and watching changes nothing.
#include <doctest/doctest.h>

#include <cmath>

#include <varve/core/graph.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/plan.h>
#include <varve/core/record.h>

#include "tests/message.h"

using namespace varve;

namespace {
Tensor leaf(double value) {
  Tensor x = tensor<double>({value});
  x.set_requires_grad();
  return x;
}
}  // namespace

TEST_CASE("anomaly mode names the op that made a NaN, going forward and back") {
  const DetectAnomaly watching;
  const Tensor x = leaf(-1);
  CHECK(contains(message_of([&] { log(x); }), "log"));
  CHECK_NOTHROW(log(tensor<double>({NAN})));  // not of finite inputs
  const Tensor zero = leaf(0);
  const Tensor y = sqrt(zero);  // its slope there is infinite
  const std::string message = message_of([&] { y.backward(); });
  CHECK(contains(message, "anomaly"));
  CHECK(contains(message, "derivative of sqrt"));
}

TEST_CASE("anomaly mode leaves no trace in a graph") {
  const auto f = [](const Tensors& in) { return Tensors{exp(in[0]) * 2.0}; };
  const size_t calls = trace(f, {ones({3})}).calls.size();
  const DetectAnomaly watching;
  const Graph graph = trace(f, {ones({3})});
  CHECK(graph.calls.size() == calls);
  CHECK(graph.run({zeros({3})})[0][1].item() == 2);
}

TEST_CASE("anomaly mode sees what is written in place, and what a compiled function does") {
  const Tensor state = zeros({1});
  auto compiled = compile([](const Tensor& x) { return log(x); });
  compiled(ones({1})), compiled(-ones({1}));
  const DetectAnomaly watching;
  CHECK_THROWS_AS(state.assign(full({1}, 1e300, DType::f64)), AnomalyError);
  CHECK_THROWS_AS(compiled(-ones({1})), AnomalyError);
  CHECK_NOTHROW(full({2}, -HUGE_VAL));  // as told
  CHECK(logsumexp(tensor<double>({0, 0})).item() == doctest::Approx(std::log(2)));
}
