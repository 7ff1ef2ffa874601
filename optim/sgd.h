// Sgd: stochastic gradient descent, with momentum and Nesterov's form of it.
#pragma once

#include <varve/optim/optimizer.h>

namespace varve::optim {

struct SgdOptions {
  double lr = 1e-3, momentum = 0, weight_decay = 0;
  bool nesterov = false;
  static void fields(auto& self, auto&& field) {
    field("momentum", self.momentum);
    field("weight_decay", self.weight_decay);
    field("nesterov", self.nesterov);
  }
  // An Error unless momentum is in [0, 1), above 0 with nesterov, and weight_decay at least 0.
  VARVE_API void check() const;
};

// g += weight_decay p;  b = momentum b + g;  p -= lr b, or with nesterov lr (g + momentum b)
// (Sutskever et al., ICML 2013).
class VARVE_API Sgd : public OptimizerOf<SgdOptions> {
 public:
  explicit Sgd(NamedTensors parameters, SgdOptions options = {});
  explicit Sgd(std::vector<Group<SgdOptions>> groups);

 private:
  void update(size_t group, const GroupState& state) const override;
};

}  // namespace varve::optim
