// Graphs of the simulated device, and their capture.
#pragma once

#include <optional>
#include <vector>

#include "tests/cuda/simulated/device.h"

struct CUgraphNode_st {
  std::function<void()> work;  // or a kernel
  std::optional<varve::simulated::Kernel> kernel;
  std::vector<cudaGraphNode_t> needs;
};

namespace varve::simulated {

// What a stream's capture has put down; the nodes that the next one comes after.
struct Captured {
  cudaGraph_t graph = nullptr;
  std::vector<cudaGraphNode_t> reached;
  void add(CUgraphNode_st node);
};
Captured& captured(cudaStream_t stream);

}  // namespace varve::simulated
