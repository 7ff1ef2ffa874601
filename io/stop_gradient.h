// StopGradient: where a model cuts the gradient (detach, no_grad), said as an op so that a graph keeps it.
#pragma once

#include <varve/io/graph.h>

namespace varve::io {

// x itself, where no gradient passes.
struct StopGradient {
  static constexpr OpName name{"stop_gradient", 1};
  VARVE_API Specs infer(const Specs& in) const;
  std::optional<View> alias(const View& in) const { return in; }
};

// Inserts one wherever f cut the gradient, which a trace alone does not see: it compares the record that f
// leaves with that of the graph's replay. `graph` is f's, its captured tensors bound.
VARVE_API void keep_stops(SizedGraph& graph, const std::function<Tensors(const Tensors&)>& f);

}  // namespace varve::io
