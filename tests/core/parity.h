// check_parity: one op on a backend (the CPU's unless told) against the reference, on the same views.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>

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

// All bytes behind one tensor to those behind another that lies alike, from host to device or back.
inline void move_bytes(const Tensor& from, const Tensor& to) {
  const Storage &a = *from.value().storage, &b = *to.value().storage;
  if (from.device() == kCpu)
    b.backend().upload(a.data(), b.data(), a.bytes());
  else
    a.backend().download(a.data(), b.data(), a.bytes());
}
// A copy in that backend's memory, laid out as the tensor is, gaps and all.
inline Tensor moved(const Tensor& t, Backend& backend) {
  Value there = t.value();
  there.storage = std::make_shared<Storage>(backend, t.value().storage->bytes());
  const Tensor copy(std::make_shared<const Value>(std::move(there)));
  move_bytes(t, copy);
  return copy;
}

// Runs an op's kernels on a backend, on views, with outputs and scratch of the right size, which hold rubbish
// before. The tensors are on the CPU, where the results come back to.
inline Tensors run_on(Backend& backend, const AnyOp& op, const Tensors& in) {
  const bool away = backend.device() != kCpu;
  Backend& memory = away ? backend : cpu_backend();
  std::vector<View> in_views, out_views;
  Specs specs;
  Tensors own, out;
  for (const Tensor& t : in) {
    own.push_back(away ? moved(t, memory) : t);
    in_views.push_back(own.back().view()), specs.push_back(t.spec());
  }
  for (const Spec& spec : op.infer(specs)) {
    out.emplace_back(make_value(memory, spec));
    out_views.push_back(out.back().view());
    const std::vector<std::byte> rubbish(spec.bytes(), std::byte{0x5b});
    memory.upload(rubbish.data(), out_views.back().data, rubbish.size());
  }
  const auto bytes = static_cast<int64_t>(op.scratch(in_views, out_views));
  const Tensor scratch(make_value(memory, {DType::u8, {bytes}}));
  op.run(backend, in_views, out_views, scratch.view());
  if (!away) return out;
  for (size_t i = 0; i < in.size(); ++i)
    if (op.writes(i)) move_bytes(own[i], in[i]);
  for (Tensor& t : out) t = moved(t, cpu_backend());
  return out;
}

inline void check_view(const AnySample& sample, const Tensor& in) {
  REQUIRE_MESSAGE((sample.source != nullptr), "an op with an alias has a source() in its Samples");
  const Tensors all = apply_op(*sample.op, std::span(&in, 1));
  int64_t wrong = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const Tensor& y = all[i];
    each_index(y.shape(), [&](const Dims& at) {
      const std::byte *found = element(y.view(), at),
                      *expected = element(in.view(), sample.source(*sample.op, in.shape(), y.shape(), at, i));
      wrong += !std::equal(found, found + size_of(y.dtype()), expected);
    });
  }
  CHECK(wrong == 0);
}

inline void check_parity(const AnySample& sample, Layout layout, Backend& tested = cpu_backend()) {
  const AnyOp& op = *sample.op;
  const Tensors in = laid_out_for(sample, layout), in_reference = laid_out_for(sample, layout);
  std::string shapes;
  for (const Tensor& t : in) shapes += " " + to_string(t.spec());
  CAPTURE(to_string(op));
  CAPTURE(shapes);
  CAPTURE(name_of(layout));
  if (sample.source || (!in.empty() && !op.alias(in[0].view()).empty())) return check_view(sample, in[0]);
  ReferenceBackend reference;
  const Tensors y = run_on(tested, op, in), expected = run_on(reference, op, in_reference);
  for (size_t i = 0; i < y.size(); ++i) CHECK(difference(y[i].view(), expected[i].view()) == "");
  for (size_t i = 0; i < in.size(); ++i)
    if (op.writes(i)) CHECK(difference(in[i].view(), in_reference[i].view()) == "");
}

// Ops along axes longer than what one task or block handles.
inline void check_long_axes(Backend& tested) {
  ReferenceBackend reference;
  Draws draws(3);
  const auto check = [&](const auto& op, const Tensors& in) {
    const OpOf boxed(op);
    CAPTURE(to_string(boxed));
    CAPTURE(to_string(in[0].spec()));
    CAPTURE(to_string(in[0].strides()));
    const Tensors y = run_on(tested, boxed, in), expected = run_on(reference, boxed, in);
    for (size_t i = 0; i < y.size(); ++i) {
      const double scale = is_floating(y[i].dtype()) ? 1.0 / 300 : 1;  // sums of 90,000 numbers
      if (is_floating(y[i].dtype()))
        CHECK(difference((y[i] * scale).view(), (expected[i] * scale).view()) == "");
      else
        CHECK(difference(y[i].view(), expected[i].view()) == "");
    }
  };
  const Tensor x = draws.numbers({300, 301}, DType::f32);
  for (const Tensor& t : {x, transpose(x), flip(slice(x, 1, 1, 300, 3), 0), reshape(x, {1, 90'300})}) {
    for (const Axes& axes : {Axes{}, Axes{0}, Axes{1}}) {
      check(Sum{axes, false}, {t});
      check(Max{axes, false}, {t});
    }
    check(Elementwise<pointwise::Tanh>{}, {t});
    check(Softmax{}, {t});
    check(LogSoftmax{}, {t});
    const Tensor targets = draws.targets({t.size(0)}, t.size(1));
    check(CrossEntropy{}, {t, targets});
    check(CrossEntropySlope{}, {t, targets, draws.numbers({t.size(0)}, DType::f32)});
    check(Cumsum{}, {t});
    check(Argmax{}, {t});
    check(Sort{}, {t});
    check(SortDescending{}, {t});
    check(Clone{}, {t});
    check(Gather{0}, {t, draws.indices({std::min<int64_t>(400, 4 * t.size(0)), 1}, t.size(0))});
  }
  check(Matmul{}, {draws.numbers({150, 130}, DType::f32), draws.numbers({130, 260}, DType::f32)});
  check(ScatterAdd{0}, {draws.numbers({9, 601}, DType::f32), draws.indices({200, 1}, 9),
                        draws.numbers({200, 601}, DType::f32)});
}

}  // namespace varve::test
