// Graphs for every batch size: what follows the size, and what is refused.
#include <varve/io/trace_sizes.h>

#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>

#include "tests/message.h"
#include "tests/same_bits.h"

using namespace varve;
using varve::test::same_bits;
using namespace varve::io;

namespace {

using Function = std::function<Tensors(const Tensors&)>;

Tensor ramp(const Shape& shape) {
  return reshape(arange(0, static_cast<double>(numel(shape)), 1, DType::f32), shape) * 0.37 - 1.0;
}

// Traced with one batch size, the function's graph does at others what the function does.
void check(const Function& f, const Shape& example, int axis, size_t fits) {
  const SizedGraph graph = trace_sizes(f, {zeros(example)}, axis);
  CHECK(graph.fits.size() == fits);
  Tensors captured;
  for (const Graph::Captured& c : graph.graph.captured) captured.push_back(c.tensor);
  for (int64_t n : {2, 3, 5, 64}) {
    Shape shape = example;
    shape[axis] = n;
    const Tensors in{ramp(shape)}, expected = f(in), found = graph.run(in, captured);
    const Graph sized = graph.at(n);
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      CHECK(same_bits(found[i], expected[i]));
      CHECK(same_bits(sized.run(in)[i], expected[i]));
      CHECK(sized.values[sized.outputs[i]] == expected[i].spec());
    }
  }
}

std::string refusal(const Function& f, const Shape& example) {
  return message_of([&] { trace_sizes(f, {zeros(example)}); });
}

}  // namespace

TEST_CASE("numbers that are linear in the batch size follow it") {
  check([](const Tensors& in) { return Tensors{flatten(in[0], 1) * 2.0}; }, {4, 2, 3}, 0, 0);
  check([](const Tensors& in) { return Tensors{reshape(in[0], {in[0].size(0), 6})}; }, {4, 2, 3}, 0, 1);
  check([](const Tensors& in) { return Tensors{reshape(in[0], {2 * in[0].size(0), 3})}; }, {1, 2, 3}, 0, 1);
  check([](const Tensors& in) { return Tensors{in[0] / static_cast<double>(in[0].size(0))}; }, {7, 2}, 0, 1);
  check([](const Tensors& in) { return Tensors{slice(in[0], 1, 0, in[0].size(1) - 1)}; }, {2, 3}, 1, 1);
  check([](const Tensors& in) { return Tensors{in[0] + cast(arange(in[0].size(0)), DType::f32)}; }, {3, 1}, 0,
        1);
  check([](const Tensors& in) { return Tensors{cat({in[0], in[0]}, 0)}; }, {3, 2}, 0, 0);
}

TEST_CASE("inputs and outputs may be the same, unused, or constant") {
  const Tensor table = ramp({2, 2});
  check([](const Tensors& in) { return in; }, {3, 2}, 0, 0);
  check([&](const Tensors&) { return Tensors{table, table}; }, {3, 2}, 0, 0);
  check([&](const Tensors&) { return Tensors{from_span<int64_t>(std::array<int64_t, 1>{7}, {1})}; }, {3, 2},
        0, 0);
}

TEST_CASE("dead calls leave no trace") {
  const Function f = [](const Tensors& in) {
    exp(in[0]);
    return Tensors{sin(in[0])};
  };
  const SizedGraph graph = trace_sizes(f, {zeros({3})});
  CHECK(graph.graph.calls.size() == 1);
  CHECK(graph.graph.values.size() == 2);
}

TEST_CASE("a number that does not follow the batch size is refused by the name of its op") {
  const std::string failing = refusal(
      [](const Tensors& in) {
        return Tensors{reshape(in[0], {4, 6})};
      },
      {4, 6});
  CHECK(contains(failing, "fails with a batch of 5"));
  CHECK(contains(failing, "reshape"));
  CHECK(contains(failing, "reshape with -1"));

  const std::string crooked = refusal(
      [](const Tensors& in) { return Tensors{sum(in[0]) * (1.0 / static_cast<double>(in[0].size(0)))}; },
      {4, 6});
  CHECK(contains(crooked, "full("));
  CHECK(contains(crooked, "'value'"));

  const std::string squared = refusal(
      [](const Tensors& in) {
        const int64_t n = in[0].size(0);
        return Tensors{expand(unsqueeze(sum(in[0]), 0), {n * n})};
      },
      {4, 6});
  CHECK(contains(squared, "expand(shape=[16])"));
}

TEST_CASE("calls and constants that differ with the batch size are refused by the name of their op") {
  const std::string branching =
      refusal([](const Tensors& in) { return Tensors{in[0].size(0) % 2 ? sin(in[0]) : cos(in[0])}; }, {4, 6});
  CHECK(contains(branching, "call 0 is cos() and sin()"));

  const std::string longer = refusal(
      [](const Tensors& in) {
        Tensor y = in[0];
        for (int64_t i = 0; i < in[0].size(0); ++i) y = sin(y);
        return Tensors{y};
      },
      {4, 6});
  CHECK(contains(longer, "4 and 5 calls"));

  const std::string constant = refusal(
      [](const Tensors& in) {
        const std::vector<float> host(static_cast<size_t>(in[0].size(0)), 1.0f);
        return Tensors{in[0] * from_span<float>(host, {in[0].size(0), 1})};
      },
      {4, 6});
  CHECK(contains(constant, "mul()"));
  CHECK(contains(constant, "constant f32[4, 1]"));
}

TEST_CASE("the function's own error at the example's size is passed on as it is") {
  const std::string own = refusal([](const Tensors& in) { return Tensors{reshape(in[0], {5, 5})}; }, {4, 6});
  CHECK(own.starts_with("reshape: "));
}

TEST_CASE("inputs must agree on the batch size") {
  const Function f = [](const Tensors& in) { return in; };
  CHECK_THROWS_WITH_AS(trace_sizes(f, {zeros({3}), zeros({4})}), doctest::Contains("3 and 4"), ShapeError);
  CHECK_THROWS_WITH_AS(trace_sizes(f, {zeros({})}), doctest::Contains("no input has a batch axis 0"),
                       ShapeError);
  CHECK_THROWS_AS(trace_sizes(f, {zeros({3})}, -1), ShapeError);
  CHECK(trace_sizes(f, {zeros({3}), zeros({})}).batch() == 3);
}
