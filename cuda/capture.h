// Capture: while one lives, what this thread asks of a GPU becomes a graph instead of being done.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <varve/core/backend.h>
#include <varve/cuda/dependencies.h>
#include <varve/cuda/recording.h>

namespace varve::cuda {

// Thrown where a recording would have to wait for the device.
struct CannotRecord {};

class Capture {
 public:
  explicit Capture(Context& on);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // From here on `place` is an input: each start copies it there.
  void receive(const View& place);
  // Ends it; null where what was asked for cannot be a graph.
  std::unique_ptr<Recording> finish();

  // What is asked for from here on is one call: it comes after those whose memory it uses, and beside others.
  void begin(Views reads, Views writes);
  // Memory that it changes, too: before anything of it is asked for.
  void also_writes(const View& memory);

  const Context& context() const { return on_; }
  cudaStream_t stream() const { return stream_; }
  void keep(void* workspace, size_t bytes) { workspaces_.emplace_back(workspace, bytes); }
  Verdicts& verdicts() { return *verdicts_; }

 private:
  using Nodes = std::vector<cudaGraphNode_t>;
  cudaGraph_t end();
  void place();
  Nodes reached() const;

  Context& on_;
  Stream stream_;
  std::vector<Receiver> receivers_;
  Workspaces workspaces_;
  std::unique_ptr<Verdicts> verdicts_;
  Dependencies dependencies_;
  std::vector<Nodes> ends_;  // of each call before the last
  Nodes after_;              // what the last one follows
  bool began_ = false, open_ = true;
};

std::unique_ptr<Recording> record(Context& on, Views places, const std::function<void()>& work);

}  // namespace varve::cuda
