// Adam, and AdamW, whose weight decay does not pass through the moments.
#pragma once

#include <varve/optim/optimizer.h>

namespace varve::optim {

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  static constexpr const char* kName = "Adam";
  static constexpr bool kDecoupled = false;
  static void fields(auto& self, auto&& field) {
    field("beta1", self.beta1);
    field("beta2", self.beta2);
    field("eps", self.eps);
    field("weight_decay", self.weight_decay);
  }
  // An Error unless the betas are in [0, 1), and eps and weight_decay at least 0.
  VARVE_API void check() const;
};

struct AdamWOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
  static constexpr const char* kName = "AdamW";
  static constexpr bool kDecoupled = true;
  static void fields(auto& self, auto&& field) { AdamOptions::fields(self, field); }
  void check() const { AdamOptions{lr, beta1, beta2, eps, weight_decay}.check(); }
};

// m, v: running means of g and g^2, and m', v' without their bias;  p -= lr m' / (sqrt(v') + eps).
// Weight decay: g += weight_decay p; decoupled: p -= lr weight_decay p.
template <class Options>
class BasicAdam : public OptimizerOf<Options> {
 public:
  explicit BasicAdam(NamedTensors parameters, Options options = {})
      : BasicAdam(std::vector<Group<Options>>{{std::move(parameters), options}}) {}
  explicit BasicAdam(std::vector<Group<Options>> groups)
      : OptimizerOf<Options>(Options::kName, {"exp_avg", "exp_avg_sq"}, std::move(groups)) {}

 private:
  using typename Optimizer::GroupState;
  void update(size_t group, const GroupState& state) const override;
};
extern template class VARVE_API BasicAdam<AdamOptions>;
extern template class VARVE_API BasicAdam<AdamWOptions>;

using Adam = BasicAdam<AdamOptions>;    // Kingma and Ba, arXiv:1412.6980
using AdamW = BasicAdam<AdamWOptions>;  // Loshchilov and Hutter, arXiv:1711.05101

}  // namespace varve::optim
