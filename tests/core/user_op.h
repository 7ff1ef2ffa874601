// The op of a program's own that docs/adding_an_op.md shows; structure/adding_an_op holds the two together.
#pragma once

#include <span>

#include <varve/core/error.h>
#include <varve/core/op.h>
#include <varve/core/ops/pointwise.h>

// clang-format off
struct Triple {
  static constexpr varve::OpName name{"my.triple", 1};
  varve::Specs infer(const varve::Specs& in) const {
    if (in.at(0).dtype != varve::DType::f32) throw varve::DTypeError("triple: required is f32; cast the input");
    return in;
  }
  void run(varve::Backend& on, varve::Views in, varve::Views out, const varve::View&) const {
    on.copy(in[0], out[0]);  // an input may be strided, transposed or broadcast; an output is contiguous
    for (float& y : std::span(out[0].as<float>(), static_cast<size_t>(out[0].numel()))) y *= 3;
  }
  varve::Tensors vjp(const varve::Saved&, const varve::Tensors& dy) const { return {dy[0] * 3.0}; }
};
// clang-format on
