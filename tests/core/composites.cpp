// Functions made of several ops: their derivatives to the second order over every layout, and that they mean
// the same along every axis.
#include <doctest/doctest.h>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>

#include "tests/core/gradient_check.h"
#include "tests/core/samples.h"

using namespace varve;
using namespace varve::test;

namespace {

struct Composite {
  std::string name;
  Tensor (*f)(const Tensor&);
  int least_rank = 0;
  bool empty = true;  // whether it is finite for tensors without elements
};

const Composite kComposites[] = {
    {"logsumexp", [](const Tensor& x) { return logsumexp(x); }, 0, false},
    {"logsumexp of an axis", [](const Tensor& x) { return logsumexp(x, {0}, true); }, 1, false},
    {"var", [](const Tensor& x) { return var(x, {}, false, 0.5); }, 0, false},
    {"var of an axis", [](const Tensor& x) { return var(x, {-1}, true, 0); }, 1, false},
    {"mean of axes",
     [](const Tensor& x) {
       return mean(x, {0, 1});
     },
     2, false},
    {"split",
     [](const Tensor& x) {
       const Tensors p = split(x, 2, 0);
       return p.empty() ? x : p.back() * p.back();
     },
     1},
    {"stack",
     [](const Tensor& x) {
       return stack({x, x * x}, -1);
     }},
    {"cat with itself",
     [](const Tensor& x) {
       return cat({x, x * x, x}, -1);
     },
     1},
    {"tril", [](const Tensor& x) { return tril(x * x, -1); }, 2},
    {"triu", [](const Tensor& x) { return triu(x * x); }, 2},
    {"topk", [](const Tensor& x) { return topk(x * x, std::min<int64_t>(2, x.size(0)), 0).values; }, 1},
    {"topk smallest",
     [](const Tensor& x) { return topk(x, std::min<int64_t>(1, x.size(-1)), -1, false).values; }, 1},
    {"sort", [](const Tensor& x) { return sort(x, 0, true).values * x; }, 1},
    {"index_select",
     [](const Tensor& x) {
       return index_select(x * x, 0, tensor<int64_t>({1, -1, 1}));
     },
     1, false},
    {"embedding",
     [](const Tensor& x) {
       return embedding(reshape(x, {x.size(0), -1}), tensor<int64_t>({1, 0, 0, -1}, {2, 2}));
     },
     2, false},
    {"select", [](const Tensor& x) { return select(x * x, -1, -1); }, 1, false},
    {"squeeze", [](const Tensor& x) { return squeeze(unsqueeze(x, 0) * 2.0, 0); }},
    {"transpose", [](const Tensor& x) { return transpose(x, 0, -1) * transpose(x, 0, -1); }, 1},
    {"contiguous", [](const Tensor& x) { return contiguous(x) * x; }},
    {"softmax of axis 0", [](const Tensor& x) { return softmax(x, 0); }, 1},
    {"log_softmax of axis 0", [](const Tensor& x) { return log_softmax(x, 0); }, 1},
    {"cumsum of axis 0", [](const Tensor& x) { return cumsum(x * x, 0); }, 1},
    {"product with itself", [](const Tensor& x) { return matmul(x, x, true, false); }, 2},
    {"dropout", [](const Tensor& x) { return dropout(x * x, 0.4, Generator(3)); }},
    {"where", [](const Tensor& x) { return where(x > 0.0, x * x, 1.0) + where(x > 0.0, 2.0, x); }},
    {"numbers on the left", [](const Tensor& x) { return pow(2.0, x) / (3.0 - x * 0.1) - (1.0 + x); }},
};

}  // namespace

TEST_CASE("functions of several ops are differentiable twice, in every layout") {
  Draws draws(11);
  for (const Composite& c : kComposites)
    for (const Shape& shape : {Shape{}, {5}, {4, 3}, {2, 3, 2}, {0}, {3, 0}}) {
      if (shape.rank() < c.least_rank || (!c.empty && numel(shape) == 0)) continue;
      const Tensor x = draws.numbers(shape, DType::f64, {-2, 2, {0}});
      CAPTURE(c.name);
      CAPTURE(to_string(shape));
      for (const Layout layout : {Layout::plain, Layout::transposed, Layout::gaps, Layout::backwards}) {
        CAPTURE(static_cast<int>(layout));
        check_gradients([&](const Tensors& in) { return Tensors{c.f(in[0])}; }, {laid_out(x, layout)});
      }
      if (shape.empty() || numel(shape) == 0) continue;
      CAPTURE("broadcast");
      const Tensor base = clone(slice(x, 0, 0, 1));
      if (c.name.starts_with("topk") || c.name == "sort") continue;  // of equals
      check_gradients([&](const Tensors& in) { return Tensors{c.f(expand(in[0], shape))}; }, {base});
    }
}

TEST_CASE("rows mean along any axis what they mean along the last") {
  Draws draws(12);
  using Rows = Tensor (*)(const Tensor&, int64_t);
  const std::pair<std::string, Rows> functions[] = {
      {"softmax", [](const Tensor& x, int64_t a) { return softmax(x, a); }},
      {"log_softmax", [](const Tensor& x, int64_t a) { return log_softmax(x, a); }},
      {"cumsum", [](const Tensor& x, int64_t a) { return cumsum(x, a); }},
      {"argmax", [](const Tensor& x, int64_t a) { return argmax(x, a, true); }},
      {"argmin", [](const Tensor& x, int64_t a) { return argmin(x, a, true); }},
      {"sort", [](const Tensor& x, int64_t a) { return sort(x, a).values; }},
      {"sort indices", [](const Tensor& x, int64_t a) { return sort(x, a, true).indices; }},
      {"topk", [](const Tensor& x, int64_t a) { return topk(x, 2, a).values; }},
  };
  const Tensor x = draws.numbers({3, 4, 5}, DType::f32);
  for (const auto& function : functions)
    for (const int64_t axis : {0, 1, 2, -1, -2, -3}) {
      const auto f = function.second;
      CAPTURE(function.first);
      CAPTURE(axis);
      const Tensor along = f(x, axis), last = transpose(f(transpose(x, axis, -1), -1), axis, -1);
      REQUIRE(along.shape() == last.shape());
      CHECK(sum(cast(not_equal(along, last), DType::i64)).item<int64_t>() == 0);
    }
}
