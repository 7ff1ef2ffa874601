// Flatten: axes from `first` on merged into one; the default keeps the batch axis.
#pragma once

#include <varve/core/ops/views.h>

namespace varve::nn {

struct Flatten {
  int64_t first = 1;
  Tensor operator()(const Tensor& x) const { return flatten(x, first); }
  static void members(auto&, auto&&) {}
};

}  // namespace varve::nn
