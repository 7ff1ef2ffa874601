// Every op's derivative, and the derivative of that, against central differences in f64.
#include <doctest/doctest.h>

#include <varve/core/record.h>

#include "tests/core/gradient_check.h"
#include "tests/core/samples.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr int64_t kMostElements = 110;  // larger samples are for parity

void check_gradients(const AnySample& sample, Layout layout) {
  int64_t elements = 0;
  for (const Tensor& t : sample.in) elements += t.numel();
  if (elements > kMostElements || floating_of(sample.in).empty()) return;
  Tensors in;
  for (const Tensor& t : sample.in) in.push_back(laid_out(t, layout));
  CAPTURE(to_string(*sample.op));
  CAPTURE(to_string(in[0].shape()));
  CAPTURE(static_cast<int>(layout));
  test::check_gradients([&](const Tensors& x) { return apply_op(*sample.op, x); }, in);
}

}  // namespace

TEST_CASE("every derivative agrees with central differences, to the second order") {
  size_t checked = 0;
  for_each_op(DType::f64, [&](const std::vector<AnySample>& samples) {
    if (!samples[0].op->differentiable() || samples[0].op->updates()) return;
    ++checked;
    for (const AnySample& sample : samples)
      for (Layout layout : {Layout::plain, Layout::transposed, Layout::gaps, Layout::backwards})
        check_gradients(sample, layout);
  });
  CHECK(checked > 70);
}

TEST_CASE("an expanded input gets the sum of what its copies would get") {
  for_each_op(DType::f64, [&](const std::vector<AnySample>& samples) {
    const AnyOp& op = *samples[0].op;
    if (!op.differentiable() || op.updates() || samples[0].in.empty()) return;
    for (const AnySample& sample : samples) {
      if (sample.in[0].numel() > kMostElements || sample.in[0].rank() == 0 || sample.in[0].numel() == 0)
        continue;
      Tensors in = sample.in;
      if (!is_floating(in[0].dtype())) continue;
      Tensor base = clone(slice(in[0], 0, 0, 1));
      base.set_requires_grad();
      in[0] = expand(base, sample.in[0].shape());
      const Tensor y = apply_op(*sample.op, in)[0];
      if (!y.requires_grad()) continue;
      Tensor whole = clone(in[0].detach());
      whole.set_requires_grad();
      in[0] = whole;
      const Tensor z = apply_op(*sample.op, in)[0];
      const Tensor found = grad({y}, {base})[0], copies = grad({z}, {whole})[0];
      if (!found.defined() || !copies.defined()) {
        CHECK(found.defined() == copies.defined());
        continue;
      }
      CAPTURE(to_string(op));
      const Tensor error = abs(found - sum_to(copies, base.shape()));
      CHECK(sum(error).item() <= 1e-9 * (1 + sum(abs(copies)).item()));
    }
  });
}

TEST_CASE("products of zeros and powers of nothing are differentiable twice") {
  const auto check = [](OpPtr op, const Tensors& in) {
    check_gradients({std::move(op), in, 0, nullptr}, Layout::plain);
  };
  for (auto values : {std::initializer_list<double>{2, 0, 3, 4, 5}, {0, 0, 3, 4, 5}, {0, 0, 0, 4, 5}}) {
    check(OpOf(Prod{}).share(), {tensor<double>(values)});
    const Tensor x = reshape(cat({tensor<double>(values), tensor<double>(values) + 1.0}), {2, 5, 1});
    for (const Axes& axes : {Axes{1}, {0, 1}, {0}, {2}}) check(OpOf(Prod{axes, true}).share(), {x});
  }
  check(OpOf(Prod{{0}, false}).share(),
        {ones({2, 1, 1, 1, 1, 1, 2, 2}, DType::f64)});  // as many axes as may be
  check(OpOf(Elementwise<pointwise::Pow>{}).share(), {tensor<double>({0.5, 1, 2}), zeros({3}, DType::f64)});
}

TEST_CASE("pow has its limits where a formula would give NaN") {
  Tensor a = zeros({3}, DType::f64), b = tensor<double>({0, 1, -1});
  a.set_requires_grad(), b.set_requires_grad();
  const Tensors d = grad({pow(a, b)}, {a, b}, {}, {.create_graph = true});
  CHECK(d[0][0].item() == 0);
  CHECK(d[0][1].item() == 1);
  CHECK(d[1][0].item() == 0);
  CHECK(d[1][1].item() == 0);
  CHECK(d[1][2].item() == -HUGE_VAL);
  CHECK(grad({slice(d[1], 0, 0, 2)}, {a})[0][1].item() == 0);
}

TEST_CASE("a product with zeros has the right first derivative") {
  for (auto values : {std::initializer_list<double>{2, 0, 3}, {0, 0, 3}, {2, 5, 3}}) {
    Tensor x = tensor<double>(values);
    x.set_requires_grad();
    prod(x).backward();
    for (int64_t i = 0; i < 3; ++i) {
      double others = 1;
      for (int64_t j = 0; j < 3; ++j)
        if (j != i) others *= *(values.begin() + j);
      CHECK(x.grad()[i].item() == others);
    }
  }
}

TEST_CASE("equal extremes share the gradient") {
  Tensor x = tensor<double>({1, 4, 4, 2});
  x.set_requires_grad();
  max(x).backward();
  CHECK(to_string(x.grad()) == to_string(tensor<double>({0, 0.5, 0.5, 0})));
  Tensor a = tensor<double>({1, 2}), b = tensor<double>({1, 3});
  a.set_requires_grad(), b.set_requires_grad();
  sum(maximum(a, b)).backward();
  CHECK(a.grad()[0].item() == 0.5);
  CHECK(b.grad()[0].item() == 0.5);
  CHECK(a.grad()[1].item() == 0);
}
