// Where a model cuts the gradient (detach, no_grad), its graph says so by an op.
#pragma once

#include <varve/io/graph.h>

namespace varve::io {

// Inserts a StopGradient wherever f cut the gradient, which a trace alone does not see: it compares the
// record that f leaves with that of the graph's replay. `graph` is f's, its captured tensors bound.
VARVE_API void keep_stops(SizedGraph& graph, const std::function<Tensors(const Tensors&)>& f);

}  // namespace varve::io
