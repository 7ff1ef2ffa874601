// check_parity: one op on the CPU backend against the reference, on the same views.
#pragma once

#include <doctest/doctest.h>

#include "tests/core/elements.h"
#include "tests/core/reference_backend.h"
#include "tests/core/samples.h"

namespace varve::test {

// How far results of one op may be apart, relative to max(1, |y|).
inline double parity_tolerance(DType dtype) {
  return dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 1e-5 : dtype == DType::f16 ? 2e-3 : 1.6e-2;
}

// Empty if the two are alike, else the first difference.
inline std::string difference(const View& found, const View& expected) {
  std::string text;
  each_index(found.shape, [&](const Dims& at) {
    if (!text.empty()) return;
    if (!is_floating(found.dtype)) {
      const auto a = read<int64_t>(found, at), b = read<int64_t>(expected, at);
      if (a != b) text = to_string(at) + ": found " + std::to_string(a) + ", reference " + std::to_string(b);
      return;
    }
    const auto a = read<double>(found, at), b = read<double>(expected, at);
    if (a == b || (a != a && b != b)) return;
    if (!(std::abs(a - b) <= parity_tolerance(found.dtype) * std::max(1.0, std::abs(b))))
      text = to_string(at) + ": found " + std::to_string(a) + ", reference " + std::to_string(b);
  });
  return text;
}

inline Tensors laid_out_for(const AnySample& sample, Layout layout) {
  Tensors in;
  for (size_t i = 0; i < sample.in.size(); ++i) {
    const bool fixed = (sample.fixed >> i) & 1u;
    const bool written = sample.op->writes(i);
    in.push_back(
        laid_out(sample.in[i], fixed || (written && layout == Layout::expanded) ? Layout::plain : layout));
  }
  return in;
}

// Runs an op's kernels on a backend, on views, with outputs and scratch of the right size.
inline Tensors run_on(Backend& backend, const AnyOp& op, const Tensors& in) {
  std::vector<View> in_views, out_views;
  Specs specs;
  for (const Tensor& t : in) in_views.push_back(t.view()), specs.push_back(t.spec());
  Tensors out;
  for (const Spec& spec : op.infer(specs)) {
    out.emplace_back(make_value(cpu_backend(), spec));
    out_views.push_back(out.back().view());
  }
  const auto bytes = static_cast<int64_t>(op.scratch(in_views, out_views));
  const Tensor scratch(make_value(cpu_backend(), {DType::u8, {bytes}}));
  op.run(backend, in_views, out_views, scratch.view());
  return out;
}

inline void check_view(const AnySample& sample, const Tensor& in) {
  REQUIRE_MESSAGE((sample.source != nullptr), "an op with an alias has a source() in its Samples");
  const Tensor y = apply_op(*sample.op, std::span(&in, 1))[0];
  int64_t wrong = 0;
  each_index(y.shape(), [&](const Dims& at) {
    const std::byte *found = element(y.view(), at),
                    *expected = element(in.view(), sample.source(*sample.op, in.shape(), y.shape(), at));
    wrong += !std::equal(found, found + size_of(y.dtype()), expected);
  });
  CHECK(wrong == 0);
}

inline void check_parity(const AnySample& sample, Layout layout) {
  const AnyOp& op = *sample.op;
  const Tensors in = laid_out_for(sample, layout), in_reference = laid_out_for(sample, layout);
  std::string shapes;
  for (const Tensor& t : in) shapes += " " + to_string(t.spec());
  CAPTURE(to_string(op));
  CAPTURE(shapes);
  CAPTURE(static_cast<int>(layout));
  if (sample.source || (!in.empty() && op.alias(in[0].view()))) return check_view(sample, in[0]);
  ReferenceBackend reference;
  const Tensors y = run_on(cpu_backend(), op, in), expected = run_on(reference, op, in_reference);
  for (size_t i = 0; i < y.size(); ++i) CHECK(difference(y[i].view(), expected[i].view()) == "");
  for (size_t i = 0; i < in.size(); ++i)
    if (op.writes(i)) CHECK(difference(in[i].view(), in_reference[i].view()) == "");
}

}  // namespace varve::test
