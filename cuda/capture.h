// Capture: while one lives, what this thread asks of a GPU becomes a graph instead of being done.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <varve/core/backend.h>
#include <varve/cuda/dependencies.h>
#include <varve/cuda/recording.h>
#include <varve/cuda/small_product.h>

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

  // The last call is this product. It is held back until another call needs it, for functions that follow may
  // become part of it.
  void hold(const SmallProduct& product);
  // Whether the last call, a function of what a product that is held back gives, became part of that.
  bool join(pointwise::Id function, Views in, Views out);

  const Context& context() const { return on_; }
  // Where the last call's work goes.
  cudaStream_t stream();
  void keep(void* workspace, size_t bytes) { workspaces_.emplace_back(workspace, bytes); }
  Verdicts& verdicts() { return *verdicts_; }

 private:
  using Nodes = std::vector<cudaGraphNode_t>;
  using Calls = std::vector<size_t>;
  struct Held {
    SmallProduct product;
    Calls calls, needed;  // that it is made of; that it follows
  };
  cudaGraph_t end();
  void close();
  void start_held(const Calls& needed);
  void follow(const Calls& calls);
  Nodes reached() const;

  Context& on_;
  Stream stream_;
  std::vector<Receiver> receivers_;
  Workspaces workspaces_;
  std::unique_ptr<Verdicts> verdicts_;
  Dependencies dependencies_;
  std::vector<Held> held_;
  // Of each call its last nodes, once it has any; what the last call follows, and whether its work was begun,
  // after those nodes, or it is held.
  std::vector<Nodes> ends_;
  Calls needed_;
  Nodes after_;
  bool placed_ = false, is_held_ = false, open_ = true;
};

std::unique_ptr<Recording> record(Context& on, Views places, const std::function<void()>& work);

}  // namespace varve::cuda
