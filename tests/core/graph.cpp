// Graphs: a trace as data, printed, pruned, and run again.
#include <doctest/doctest.h>

#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

using namespace varve;

namespace {
std::string text(const Tensors& tensors) {
  std::string out;
  for (const Tensor& t : tensors) out += to_string(t) + "\n";
  return out;
}
}  // namespace

TEST_CASE("a trace prints a line for each op, its inputs by number") {
  const Tensor w = ones({3, 2});
  w.set_label("weight");
  const Graph g = trace([&](const Tensors& in) { return Tensors{relu(matmul(in[0], w))}; }, {ones({4, 3})});
  CHECK(to_string(g) ==
        "%0: f32[4, 3] = input\n"
        "%1: f32[3, 2] = captured weight\n"
        "%2: f32[4, 2] = matmul(%0, %1, transpose_a=false, transpose_b=false)\n"
        "%3: f32[4, 2] = relu(%2)\n"
        "return %3\n");
}

TEST_CASE("a graph runs on new inputs as the function would") {
  const Tensor w = tensor<float>({1, -2, 3});
  const auto f = [&](const Tensors& in) {
    const Sorted s = sort(in[0] * w);
    return Tensors{softmax(s.values), s.indices, reshape(in[1], {-1}) + 1.0};
  };
  const Graph g = trace(f, {tensor<float>({1, 2, 3}), ones({2, 2})});
  const Tensors in{tensor<float>({-5, 0.5, 2}), full({2, 2}, 7)};
  CHECK(text(g.run(in)) == text(f(in)));
  w.fill(1);  // captured by reference
  CHECK(text(g.run(in)) == text(f(in)));
  CHECK_THROWS_AS(g.run({in[0]}), Error);
}

TEST_CASE("running a graph is recorded for backward") {
  const Graph g = trace([](const Tensors& in) { return Tensors{in[0] * in[0]}; }, {ones({2})});
  Tensor x = tensor<float>({3, 4});
  x.set_requires_grad();
  sum(g.run({x})[0]).backward();
  CHECK(to_string(x.grad()) == to_string(tensor<float>({6, 8})));
}

TEST_CASE("a trace of backward is a graph as well") {
  Tensor w = tensor<float>({2});
  w.set_requires_grad();
  const Graph g = trace([&](const Tensors& in) { return grad({in[0] * w * w}, {w}); }, {tensor<float>({3})});
  CHECK(g.run({tensor<float>({5})})[0].item() == 20);
}

TEST_CASE("dead calls are dropped, those that write in place are kept") {
  const Tensor state = zeros({1});
  Graph g = trace(
      [&](const Tensors& in) {
        exp(in[0]);
        state.assign(in[0] * 2.0);
        return Tensors{in[0] + 1.0};
      },
      {ones({1})});
  const size_t before = g.calls.size();
  drop_dead_calls(g);
  CHECK(g.calls.size() == before - 1);
  CHECK(to_string(g).find("exp") == std::string::npos);
  state.fill(0);
  CHECK(g.run({full({1}, 4)})[0].item() == 5);
  CHECK(state.item() == 8);
}

TEST_CASE("one tensor given twice is two inputs") {
  const Tensor x = tensor<float>({2});
  const Graph g = trace([](const Tensors& in) { return Tensors{in[0] - in[1]}; }, {x, x});
  CHECK(g.run({tensor<float>({7}), tensor<float>({3})})[0].item() == 4);
}

TEST_CASE("an input handed back is an output") {
  const Graph g = trace([](const Tensors& in) { return Tensors{in[0], in[0]}; }, {ones({1})});
  const Tensor x = full({1}, 3);
  CHECK(g.run({x})[1].item() == 3);
}

TEST_CASE("reading a value while tracing is an error, and the trace closes again") {
  for (const auto& read :
       {+[](const Tensor& x) { (void)x.item(); }, +[](const Tensor& x) { (void)x.data<float>(); },
        +[](const Tensor& x) { (void)x.mutable_data<float>(); },
        +[](const Tensor&) { (void)default_generator().offset(); }})
    CHECK_THROWS_AS(trace(
                        [&](const Tensors& in) {
                          read(in[0]);
                          return in;
                        },
                        {ones({1})}),
                    Error);
  CHECK(Trace::current() == nullptr);
  CHECK(ones({1}).item() == 1);
}

TEST_CASE("traces nest: the inner one takes what happens within it") {
  const Graph outer = trace(
      [](const Tensors& in) {
        const Tensor y = exp(in[0]);
        const Graph inner = trace([](const Tensors& x) { return Tensors{log(x[0])}; }, {ones({1})});
        CHECK(inner.calls.size() == 1);
        return Tensors{y};
      },
      {ones({1})});
  CHECK(to_string(outer).find("exp") != std::string::npos);
  CHECK(to_string(outer).find("log") == std::string::npos);
}

TEST_CASE("random draws in a graph move the generator on") {
  const Generator g(3);
  const Graph drawn = trace([&](const Tensors& in) { return Tensors{dropout(in[0], 0.5, g)}; }, {ones({8})});
  const Tensors first = drawn.run({ones({8})}), second = drawn.run({ones({8})});
  CHECK(text(first) != text(second));
  g.set(3, 2);
  CHECK(text(drawn.run({ones({8})})) == text(first));
}
