// Graphs of the simulated device, and their capture.
#pragma once

#include <optional>
#include <vector>

#include "tests/cuda/simulated/device.h"

namespace varve::simulated {

// What a stream is asked for.
struct Work {
  std::function<void()> call;  // or a kernel
  std::optional<Kernel> kernel;
  void operator()() const;
};

}  // namespace varve::simulated

struct CUgraphNode_st {
  varve::simulated::Work work;
  std::vector<cudaGraphNode_t> needs;
};

namespace varve::simulated {

// What a stream's capture has put down; the nodes that the next one comes after.
struct Captured {
  cudaGraph_t graph = nullptr;
  std::vector<cudaGraphNode_t> reached;
  void add(Work work);
};
Captured& captured(cudaStream_t stream);

}  // namespace varve::simulated
