#include "tests/cuda/simulated/graphs.h"

#include <algorithm>
#include <unordered_map>

#include "tests/cuda/simulated/grid.h"

using namespace varve::simulated;

struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};

namespace {

struct Step {
  Work work;
  std::vector<size_t> needs;
};

// In any order that the needs allow.
void run_steps(const std::vector<Step>& steps) {
  std::vector<size_t> missing, ready;
  std::vector<std::vector<size_t>> waiting(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    missing.push_back(steps[i].needs.size());
    for (const size_t n : steps[i].needs) waiting[n].push_back(i);
    if (steps[i].needs.empty()) ready.push_back(i);
  }
  while (!ready.empty()) {
    std::swap(ready[chance()() % ready.size()], ready.back());
    const size_t now = ready.back();
    ready.pop_back();
    steps[now].work();
    for (const size_t next : waiting[now])
      if (--missing[next] == 0) ready.push_back(next);
  }
}

}  // namespace

struct CUgraphExec_st {
  std::vector<Step> steps;
  std::unordered_map<cudaGraphNode_t, size_t> place;
};

void Work::operator()() const { kernel ? run(*kernel) : call(); }

void Captured::add(Work work) {
  graph->nodes.push_back(std::make_unique<CUgraphNode_st>(CUgraphNode_st{std::move(work), reached}));
  reached = {graph->nodes.back().get()};
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  if (captured(stream).graph) misuse("a stream is captured twice");
  captured(stream) = {new CUgraph_st, {}};
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard lock(device_mutex());
  *graph = std::exchange(captured(stream), {}).graph;
  const cudaError_t code = refused();
  if (code) delete std::exchange(*graph, nullptr);
  return code;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long*, cudaGraph_t*, const cudaGraphNode_t** reached,
                                     const cudaGraphEdgeData** edges, size_t* count) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  const Captured& now = captured(stream);
  *status = now.graph ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  *reached = now.reached.data(), *edges = nullptr, *count = now.reached.size();
  return cudaSuccess;
}
cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t* nodes,
                                                const cudaGraphEdgeData*, size_t count, unsigned) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  for (size_t i = 0; i < count; ++i)
    if (std::count(nodes, nodes + count, nodes[i]) > 1) return cudaErrorInvalidValue;
  captured(stream).reached.assign(nodes, nodes + count);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (const cudaError_t code = refused()) return code;
  auto made = std::make_unique<CUgraphExec_st>();
  for (const auto& node : graph->nodes) {
    Step step{node->work, {}};
    for (cudaGraphNode_t n : node->needs) step.needs.push_back(made->place.at(n));
    made->place[node.get()] = made->steps.size();
    made->steps.push_back(std::move(step));
  }
  *exec = made.release();
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  const std::lock_guard lock(device_mutex());
  delete exec;
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return refused(); }
// With what its kernels are given now, whatever they are given before it runs.
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (const cudaError_t code = refused()) return code;
  return enqueue(stream, [steps = exec->steps] { run_steps(steps); });
}
cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* parameters) {
  if (const cudaError_t code = refused()) return code;
  const std::optional<Kernel>& kernel = node->work.kernel;
  if (!kernel) return cudaErrorInvalidValue;
  *parameters = {kernel->function, kernel->blocks, kernel->threads, 0, nullptr, nullptr};
  return cudaSuccess;
}
cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* parameters) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  std::optional<Kernel>& kernel = exec->steps[exec->place.at(node)].work.kernel;
  if (!kernel || kernel->function != parameters->func) return cudaErrorInvalidValue;
  kernel->parameters = kernel->read(parameters->kernelParams);
  return cudaSuccess;
}
