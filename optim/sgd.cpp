#include <varve/optim/sgd.h>

#include <varve/core/ops/elementwise.h>

namespace varve::optim {

void SgdOptions::check() const {
  check_option(momentum >= 0 && momentum < 1, "momentum", momentum, "0 <= momentum < 1");
  check_option(weight_decay >= 0, "weight_decay", weight_decay, "at least 0");
  check_option(!nesterov || momentum > 0, "momentum", momentum, "above 0 with nesterov");
}

Sgd::Sgd(NamedTensors parameters, SgdOptions options)
    : Sgd(std::vector<Group<SgdOptions>>{{std::move(parameters), options}}) {}
Sgd::Sgd(std::vector<Group<SgdOptions>> groups) : OptimizerOf("Sgd", {"momentum"}, std::move(groups)) {}

void Sgd::update(size_t group, const GroupState& state) const {
  const SgdOptions& o = options_of(group);
  const SgdStep rule{{o.momentum, o.weight_decay, o.nesterov ? 1.0 : 0.0}};
  for (const auto& p : state.parameters)
    if (const Tensor g = p.tensor.grad(); g.defined())
      apply_op(rule, {p.trained(), g, p.moments[0], state.lr});
}

}  // namespace varve::optim
