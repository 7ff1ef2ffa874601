#include <varve/cuda/recording.h>

#include <varve/cuda/context.h>

namespace varve::cuda {

GraphRecording::GraphRecording(Context& on, GraphPtr graph, std::vector<Receiver> receivers,
                               Workspaces& workspaces, std::unique_ptr<Verdicts> verdicts)
    : on_(on), graph_(std::move(graph)), receivers_(std::move(receivers)), verdicts_(std::move(verdicts)) {
  with_room(on_, "cudaGraphInstantiate", [&] { return cudaGraphInstantiate(&exec_, graph_.get(), 0); });
  try {  // now, while calls can still be done one by one
    with_room(on_, "cudaGraphUpload", [&] { return cudaGraphUpload(exec_, on_.stream); });
  } catch (...) {
    cudaGraphExecDestroy(exec_);
    throw;
  }
  workspaces_.swap(workspaces);
}

GraphRecording::~GraphRecording() {
  cudaStreamSynchronize(on_.stream);
  cudaGraphExecDestroy(exec_);
  for (const auto& [data, bytes] : workspaces_) on_.allocator.give(data, bytes);
}

void GraphRecording::receive_from(Receiver& receiver, const void* from) {
  if (receiver.from == from || receiver.bytes == 0) return;
  cudaKernelNodeParams parameters;
  VARVE_CUDA_CHECK(cudaGraphKernelNodeGetParams(receiver.node, &parameters));
  void* arguments[] = {&from, &receiver.to, &receiver.bytes};
  parameters.kernelParams = arguments;
  VARVE_CUDA_CHECK(cudaGraphExecKernelNodeSetParams(exec_, receiver.node, &parameters));
  receiver.from = from;
}

void GraphRecording::start(std::span<const void* const> inputs) {
  const Current current(on_.device);
  last_family = "a recording";
  for (size_t i = 0; i < inputs.size(); ++i) receive_from(receivers_[i], inputs[i]);
  verdicts_->start_for(asker(), on_.stream);
  with_room(on_, "cudaGraphLaunch", [&] { return cudaGraphLaunch(exec_, on_.stream); });
}

}  // namespace varve::cuda
