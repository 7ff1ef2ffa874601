// Dropout: in training each element is zeroed with probability p and the others scaled by 1 / (1 - p); in
// evaluation x passes unchanged (Srivastava et al., JMLR 15, 2014).
#pragma once

#include <varve/core/members.h>
#include <varve/core/ops/random.h>

namespace varve::nn {

struct Dropout {
  double p = 0.5;  // 0 <= p <= 1
  Mode mode;
  Tensor operator()(const Tensor& x) const { return mode.training() ? dropout(x, p) : x; }
  static void members(auto& self, auto&& visit) { visit("mode", self.mode); }
};

}  // namespace varve::nn
