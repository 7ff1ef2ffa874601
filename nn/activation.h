// Activations as layers, for Sequential: each is the function of core/ops/pointwise.h, without parameters.
#pragma once

#include <varve/core/ops/pointwise.h>

namespace varve::nn {

struct ReLU {
  Tensor operator()(const Tensor& x) const { return relu(x); }
  static void members(auto&, auto&&) {}
};
struct GELU {
  Tensor operator()(const Tensor& x) const { return gelu(x); }
  static void members(auto&, auto&&) {}
};
struct SiLU {
  Tensor operator()(const Tensor& x) const { return silu(x); }
  static void members(auto&, auto&&) {}
};
struct Tanh {
  Tensor operator()(const Tensor& x) const { return tanh(x); }
  static void members(auto&, auto&&) {}
};
struct Sigmoid {
  Tensor operator()(const Tensor& x) const { return sigmoid(x); }
  static void members(auto&, auto&&) {}
};
struct Softplus {
  Tensor operator()(const Tensor& x) const { return softplus(x); }
  static void members(auto&, auto&&) {}
};

}  // namespace varve::nn
