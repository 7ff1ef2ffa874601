// trace_sizes: from a function of tensors to a graph for every batch size, or an Error that says why not.
#pragma once

#include <varve/io/graph.h>

namespace varve::io {

// Traces f on zeros shaped like the examples, at three batch sizes: two give each number its line, the third
// confirms. An Error names the op and attribute that do not follow the batch size.
VARVE_API SizedGraph trace_sizes(const std::function<Tensors(const Tensors&)>& f, const Tensors& examples,
                                 int batch_axis = 0);

}  // namespace varve::io
