// Gradients of any function, and the gradients of those, held against central differences in f64.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/record.h>

#include "tests/core/draws.h"
#include "tests/core/elements.h"

namespace varve::test {

inline constexpr double kStep = 1e-6, kTolerance = 2e-6;

// sum of w y over the floating outputs of an op, kept in double.
inline double weighted(const Tensors& y, const Tensors& weights) {
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
inline Tensors leaves_of(const Tensors& in) {
  Tensors out;
  for (const Tensor& t : in) {
    out.push_back(t.detach());
    if (t.dtype() == DType::f64) out.back().set_requires_grad();
  }
  return out;
}

inline Tensors floating_of(const Tensors& in) {
  Tensors out;
  for (const Tensor& t : in)
    if (t.dtype() == DType::f64) out.push_back(t);
  return out;
}

// Compares gradients by `leaves` with numeric ones; an undefined gradient stands for zeros.
inline void check_close(const Tensors& gradients, const Tensors& numeric) {
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

inline bool any_gradient(const Tensors& y) {
  return std::any_of(y.begin(), y.end(), [](const Tensor& t) { return t.requires_grad(); });
}

using Function = std::function<Tensors(const Tensors&)>;

struct Checked {
  const Function& f;
  Tensors weights;  // by output; undefined for integers

  // The gradients by the floating inputs, with weights as seeds.
  Tensors first(const Tensors& in, const Tensors& seeds, bool record) const {
    Tensors outputs, used;
    const Tensors y = f(in);
    for (size_t i = 0; i < y.size(); ++i)
      if (weights[i].defined()) outputs.push_back(y[i]), used.push_back(seeds[i]);
    return grad(outputs, floating_of(in), used, {.create_graph = record, .retain = false});
  }
};

// Gradients of gradients: the scalar sum over i of v_i . dx_i, by the inputs and by the seeds.
inline void check_second(const Checked& c, const Tensors& in, Draws& draws) {
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

// Both orders at `in`; nothing is checked where the results do not depend on it, or are rounded to less than
// f64.
inline void check_gradients(const Function& f, const Tensors& in) {
  Draws draws(7);
  Checked checked{f, {}};
  const Tensors y = f(leaves_of(in));
  if (!any_gradient(y)) return;  // a cast to integers
  for (const Tensor& t : y) {
    if (is_floating(t.dtype()) && t.dtype() != DType::f64) return;
    checked.weights.push_back(t.dtype() == DType::f64 ? draws.numbers(t.shape(), DType::f64) : Tensor());
  }
  const auto value = [&](const Tensors& x) { return weighted(f(x), checked.weights); };
  check_close(checked.first(leaves_of(in), checked.weights, false), central_differences(value, in));
  check_second(checked, in, draws);
}

}  // namespace varve::test
