// Every op's derivative, and the derivative of that, against central differences in f64.
#include <doctest/doctest.h>

#include <varve/core/record.h>

#include "tests/core/elements.h"
#include "tests/core/samples.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr double kStep = 1e-6, kTolerance = 2e-6;
constexpr int64_t kMostElements = 110;  // larger samples are for parity

// sum of w y over the floating outputs of an op, kept in double.
double weighted(const Tensors& y, const Tensors& weights) {
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i)
    if (weights[i].defined())
      each_index(y[i].shape(), [&](const Dims& at) {
        sum += read<double>(y[i].view(), at) * read<double>(weights[i].view(), at);
      });
  return sum;
}

// f(tensors) differentiated numerically by each element of each floating tensor; nothing is recorded.
template <class F>
Tensors central_differences(const F& f, const Tensors& at) {
  Tensors out;
  for (const Tensor& x : at) {
    if (x.dtype() != DType::f64) {
      out.emplace_back();
      continue;
    }
    out.push_back(zeros(x.shape(), DType::f64));
    each_index(x.shape(), [&](const Dims& index) {
      const auto value = read<double>(x.view(), index);
      const double h = kStep * std::max(1.0, std::abs(value));
      write(x.view(), index, value + h);
      const double above = f(at);
      write(x.view(), index, value - h);
      const double below = f(at);
      write(x.view(), index, value);
      write(out.back().view(), index, (above - below) / (2 * h));
    });
  }
  return out;
}

// The same values, each floating tensor a leaf.
Tensors leaves_of(const Tensors& in) {
  Tensors out;
  for (const Tensor& t : in) {
    out.push_back(t.detach());
    if (t.dtype() == DType::f64) out.back().set_requires_grad();
  }
  return out;
}

Tensors floating_of(const Tensors& in) {
  Tensors out;
  for (const Tensor& t : in)
    if (t.dtype() == DType::f64) out.push_back(t);
  return out;
}

// Compares gradients by `leaves` with numeric ones; an undefined gradient stands for zeros.
void check_close(const Tensors& gradients, const Tensors& numeric) {
  const Tensors expected = [&] {
    Tensors defined;
    for (const Tensor& t : numeric)
      if (t.defined()) defined.push_back(t);
    return defined;
  }();
  REQUIRE(gradients.size() == expected.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    CAPTURE(i);
    if (gradients[i].defined()) REQUIRE(gradients[i].spec() == expected[i].spec());
    double worst = 0;
    each_index(expected[i].shape(), [&](const Dims& at) {
      const auto b = read<double>(expected[i].view(), at);
      const double a = gradients[i].defined() ? read<double>(gradients[i].view(), at) : 0;
      const double error = std::abs(a - b) / std::max(1.0, std::abs(b));
      worst = error <= worst ? worst : error;  // NaN counts
    });
    CHECK(worst <= kTolerance);
  }
}

bool any_gradient(const Tensors& y) {
  return std::any_of(y.begin(), y.end(), [](const Tensor& t) { return t.requires_grad(); });
}

struct Checked {
  const AnyOp& op;
  Tensors weights;  // by output; undefined for integers

  // The gradients by the floating inputs, with weights as seeds.
  Tensors first(const Tensors& in, const Tensors& seeds, bool record) const {
    Tensors outputs, used;
    const Tensors y = apply_op(op, in);
    for (size_t i = 0; i < y.size(); ++i)
      if (weights[i].defined()) outputs.push_back(y[i]), used.push_back(seeds[i]);
    return grad(outputs, floating_of(in), used, {.create_graph = record, .retain = false});
  }
};

// Gradients of gradients: the scalar sum over i of v_i . dx_i, by the inputs and by the seeds.
void check_second(const Checked& c, const Tensors& in, Draws& draws) {
  Tensors v;
  for (const Tensor& t : floating_of(in)) v.push_back(draws.numbers(t.shape(), DType::f64));
  const size_t inputs = in.size();
  const auto split = [&](const Tensors& all) {
    Tensors seeds;
    for (size_t i = 0, k = inputs; i < c.weights.size(); ++i)
      seeds.push_back(c.weights[i].defined() ? all[k++] : Tensor());
    return std::pair(Tensors(all.begin(), all.begin() + static_cast<long>(inputs)), seeds);
  };
  Tensors everything = in;
  for (const Tensor& w : c.weights)
    if (w.defined()) everything.push_back(w);

  const auto scalar_of = [&](const Tensors& all) {
    const auto [x, seeds] = split(leaves_of(all));
    Tensors dx = c.first(x, seeds, false);
    for (Tensor& t : dx)
      if (!t.defined()) t = zeros({}, DType::f64);
    Tensors weights = v;
    for (size_t i = 0; i < dx.size(); ++i)
      if (dx[i].rank() != weights[i].rank()) weights[i] = zeros({}, DType::f64);
    return weighted(dx, weights);
  };
  const Tensors leaves = leaves_of(everything);
  const auto [x, seeds] = split(leaves);
  Tensor total;
  Tensors dx = c.first(x, seeds, true);
  for (size_t i = 0; i < dx.size(); ++i)
    if (dx[i].defined()) total = total.defined() ? total + sum(dx[i] * v[i]) : sum(dx[i] * v[i]);
  const Tensors by = floating_of(leaves);
  const Tensors second = total.defined() && total.requires_grad() ? grad({total}, by) : Tensors(by.size());
  check_close(second, central_differences(scalar_of, everything));
}

void check_gradients(const AnySample& sample, Layout layout) {
  const AnyOp& op = *sample.op;
  int64_t elements = 0;
  for (const Tensor& t : sample.in) elements += t.numel();
  if (elements > kMostElements || floating_of(sample.in).empty()) return;
  Tensors in;
  for (const Tensor& t : sample.in) in.push_back(laid_out(t, layout));
  Draws draws(7);
  Checked checked{op, {}};
  const Tensors y = apply_op(op, leaves_of(in));
  if (!any_gradient(y)) return;  // a cast to integers
  for (const Tensor& t : y) {
    if (is_floating(t.dtype()) && t.dtype() != DType::f64)
      return;  // a cast to fewer digits than the check needs
    checked.weights.push_back(t.dtype() == DType::f64 ? draws.numbers(t.shape(), DType::f64) : Tensor());
  }
  CAPTURE(to_string(op));
  CAPTURE(to_string(in[0].shape()));
  CAPTURE(static_cast<int>(layout));
  const auto value = [&](const Tensors& x) { return weighted(apply_op(op, x), checked.weights); };
  check_close(checked.first(leaves_of(in), checked.weights, false), central_differences(value, in));
  check_second(checked, in, draws);
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
