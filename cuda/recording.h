// GraphRecording: a CUDA graph that can be started, and what it uses, which nobody else may have meanwhile.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <varve/core/backend.h>
#include <varve/cuda/context.h>
#include <varve/cuda/verdicts.h>

namespace varve::cuda {

// Memory of a workspace.
using Workspaces = std::vector<std::pair<void*, size_t>>;
using GraphPtr = std::unique_ptr<CUgraph_st, void (*)(cudaGraph_t)>;

// A node of drive_receive, that brings an input.
struct Receiver {
  cudaGraphNode_t node;
  void* to;
  int64_t bytes;
  const void* from = nullptr;  // as the node has it
};

class GraphRecording final : public Recording {
 public:
  // Takes the workspaces only when nothing can fail any more.
  GraphRecording(Context& on, GraphPtr graph, std::vector<Receiver> receivers, Workspaces& workspaces,
                 std::unique_ptr<Verdicts> verdicts);
  ~GraphRecording() override;
  GraphRecording(const GraphRecording&) = delete;
  GraphRecording& operator=(const GraphRecording&) = delete;
  void start(std::span<const void* const> inputs) override;

 private:
  void receive_from(Receiver& receiver, const void* from);

  Context& on_;
  GraphPtr graph_;
  cudaGraphExec_t exec_ = nullptr;
  std::vector<Receiver> receivers_;
  Workspaces workspaces_;
  std::unique_ptr<Verdicts> verdicts_;
};

}  // namespace varve::cuda
