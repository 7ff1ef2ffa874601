#include <varve/optim/adam.h>

#include <varve/core/ops/elementwise.h>

namespace varve::optim {

void AdamOptions::check() const {
  check_option(beta1 >= 0 && beta1 < 1, "beta1", beta1, "0 <= beta1 < 1");
  check_option(beta2 >= 0 && beta2 < 1, "beta2", beta2, "0 <= beta2 < 1");
  check_option(eps >= 0, "eps", eps, "at least 0");
  check_option(weight_decay >= 0, "weight_decay", weight_decay, "at least 0");
}

template <class Options>
void BasicAdam<Options>::update(size_t group, const GroupState& state) const {
  const Options& o = this->options_of(group);
  const AdamStep rule{{o.beta1, o.beta2, o.eps, Options::kDecoupled ? 0 : o.weight_decay}};
  const AdamRates rates{{o.beta1, o.beta2, Options::kDecoupled ? o.weight_decay : 0}};
  const Tensors of_step = apply_op(rates, {state.steps, state.lr});
  for (size_t i = 0; i < state.parameters.size(); ++i) {
    const auto& p = state.parameters[i];
    const auto at = static_cast<int64_t>(i);
    if (const Tensor g = p.tensor.grad(); g.defined())
      apply_op(rule,
               {p.trained(), g, p.moments[0], p.moments[1], of_step[0][at], of_step[1][at], of_step[2][at]});
  }
}

template class BasicAdam<AdamOptions>;
template class BasicAdam<AdamWOptions>;

}  // namespace varve::optim
