// Where a model cuts the gradient, its graph does too.
#include <varve/io/stop_gradient.h>

#include <doctest/doctest.h>

#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>
#include <varve/io/trace_sizes.h>

using namespace varve;
using namespace varve::io;

namespace {

using Function = std::function<Tensors(const Tensors&)>;

size_t stops_in(const Graph& graph) {
  size_t count = 0;
  for (const Graph::Call& call : graph.calls) count += call.op->name().name == "stop_gradient";
  return count;
}

double gradient(const Function& f) {
  Tensor x = tensor<double>({0.5, -1.25});
  x.set_requires_grad();
  sum(f({x})[0]).backward();
  return x.grad().defined() ? sum(x.grad()).item() : 0;
}

// The function's graph has its gradient, with that many stops.
void check(const Function& f, size_t stops) {
  SizedGraph graph = trace_sizes(f, {zeros({2}, DType::f64)});
  keep_stops(graph, f);
  CHECK(stops_in(graph.graph) == stops);
  const SizedGraph again = graph_from(to_meta(graph), {});
  CHECK(to_string(again.graph) == to_string(graph.graph));
  const auto replay = [&](const Tensors& in) { return again.run(in, {}); };
  CHECK(gradient(replay) == gradient(f));
}

}  // namespace

TEST_CASE("a graph stops gradients where the function does") {
  check([](const Tensors& in) { return Tensors{in[0] * in[0]}; }, 0);
  check([](const Tensors& in) { return Tensors{in[0] * in[0].detach()}; }, 1);
  check([](const Tensors& in) { return Tensors{in[0] * no_grad([&] { return exp(in[0]) * in[0]; })}; }, 1);
  check(  // one for each value that is cut: y and sin(y)
      [](const Tensors& in) {
        const Tensor y = exp(in[0]), d = y.detach();
        return Tensors{y * d + sin(d) * in[0] * d};
      },
      2);
  check([](const Tensors& in) { return Tensors{logsumexp(unsqueeze(in[0], 1) * 2.0, {1})}; }, 2);
}

TEST_CASE("a value that only a running statistic takes moves no stop elsewhere") {
  const Tensor running = zeros({}, DType::f64);
  const Function f = [&](const Tensors& in) {
    const Tensor h = in[0] * 2.0;
    no_grad([&] { running.assign(running * 0.5 + sum(h) * 0.5); });
    return Tensors{h.detach() * exp(in[0])};
  };
  SizedGraph graph = trace_sizes(f, {zeros({2}, DType::f64)});
  keep_stops(graph, f);
  CHECK(stops_in(graph.graph) == 1);
  CHECK(gradient([&](const Tensors& in) { return graph.run(in, {running}); }) == gradient(f));
}

TEST_CASE("an output may be cut off as a whole, and sizes still follow the batch") {
  const Function f = [](const Tensors& in) {
    const Tensor shifted = in[0] * in[0].detach() + ones(in[0].shape(), DType::f64);
    return Tensors{shifted, exp(in[0]).detach()};
  };
  SizedGraph graph = trace_sizes(f, {zeros({2}, DType::f64)});
  keep_stops(graph, f);
  CHECK(stops_in(graph.graph) == 2);
  CHECK(graph.fits.size() == 1);
  Tensor x = ones({5}, DType::f64);
  x.set_requires_grad();
  const Tensors out = graph.run({x}, {});
  CHECK(out[0].shape() == Shape{5});
  CHECK(out[0].requires_grad());
  CHECK_FALSE(out[1].requires_grad());
}
