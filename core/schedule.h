// The order in which a plan does its calls, and which of them it does together.
#pragma once

#include <varve/core/group_builder.h>

namespace varve {

struct CallGroup {
  std::vector<uint32_t> calls;  // numbers of the graph's, in the order they are done
  RowCut cut;                   // in one part: the call, for it is alone, is done whole
};

// A view of an input is no call. Every order that matters is kept: a call comes after what made its inputs,
// after what read what it overwrites, and after what wrote that before. `part_bytes`: of a group's results
// for one part; 0: no groups, and the order of the graph.
VARVE_API std::vector<CallGroup> schedule(const Graph& graph, const std::vector<ValuePtr>& values,
                                          size_t part_bytes);

}  // namespace varve
