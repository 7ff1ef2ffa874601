// Linear: y = x W^T + b, the weight laid out [out, in].
#pragma once

#include <optional>

#include <varve/core/members.h>

namespace varve::nn {

struct VARVE_API Linear {
  Tensor weight;               // [out, in]
  std::optional<Tensor> bias;  // [out]

  // Both start uniform in [-1/sqrt(in), 1/sqrt(in)).
  Linear(int64_t in, int64_t out, bool with_bias = true, DType dtype = DType::f32);
  // x [..., in] gives [..., out]; ShapeError when the last size of x is not `in`.
  Tensor operator()(const Tensor& x) const;

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

}  // namespace varve::nn
