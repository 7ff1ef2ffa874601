// SizedGraph: a graph that serves every batch size, and its form as data. What a file says is checked before
// it is believed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <varve/core/graph.h>
#include <varve/io/meta.h>

namespace varve::io {

struct VARVE_API SizedGraph {
  // Element `element` of a call's attribute is base + slope * batch.
  struct Fit {
    uint32_t call;
    std::string attribute;
    int element;
    double base, slope;
  };

  Graph graph;  // as traced, at batch(); its values are the inputs, the captured, then what the calls make
  std::vector<Fit> fits;  // in the order of calls; all other attributes are the same at every size
  int batch_axis = 0;     // of every input that has it

  // The batch size of `graph`.
  int64_t batch() const;
  // The graph at another batch size; captured tensors are shared.
  Graph at(int64_t batch) const;
  // Applies the calls to inputs of any batch size, with `captured` in place of graph.captured; `after`, if
  // given, sees the results of each call.
  using After = std::function<void(size_t call, const Tensors& results)>;
  Tensors run(const Tensors& in, const Tensors& captured, const After& after = {}) const;
};

// The size `axis` has in the tensors that have it; ShapeError when none has, or the sizes differ.
VARVE_API int64_t batch_of(const Specs& specs, int axis);

VARVE_API Specs specs_of(const Tensors& tensors);

// The same graph with its values numbered in order: inputs, captured, then what the calls make.
VARVE_API Graph renumbered(Graph graph);

// The call that first uses a value, as text; for messages.
VARVE_API std::string user_of(const Graph& graph, uint32_t value);

VARVE_API Meta to_meta(const Specs& specs);
// Their reverse; an Error where a dtype is unknown or a shape has too many elements.
VARVE_API Specs specs_from(const Meta& meta);
// Everything but the captured tensors.
VARVE_API Meta to_meta(const SizedGraph& graph);
// The graph of that Meta, whose captured tensors (undefined as yet) have these specs. Every value is inferred
// again; anything that does not hold together is an Error. An op this program cannot make is kept as data:
// the graph can be printed and saved, and running it is an Error that names the op.
VARVE_API SizedGraph graph_from(const Meta& meta, const Specs& captured);

}  // namespace varve::io
