// Capture: while one lives, what this thread asks of a GPU is put down, to become a graph instead of being
// done.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <varve/core/backend.h>
#include <varve/cuda/branches.h>
#include <varve/cuda/dependencies.h>
#include <varve/cuda/recording.h>
#include <varve/cuda/small_product.h>

namespace varve::cuda {

// Thrown where a recording would have to wait for the device.
struct CannotRecord {};

class Capture {
 public:
  // One call: what it does with its views; what makes it part of a product's kernel, and what makes it such a
  // product, if it can be.
  struct Call {
    const char* family;
    std::vector<View> reads, writes;
    std::function<void(Views reads, Views writes)> work;
    std::function<bool(SmallProduct&, Views reads, Views writes)> join;
    std::function<std::optional<SmallProduct>(Views reads, Views writes)> product;
  };

  explicit Capture(Context& on);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // It comes after those whose memory it uses, and beside others.
  void add(Call call);
  // From here on `place` is an input: each start copies it there. Before all calls.
  void receive(const View& place);
  // Makes the graph; null where what was asked for cannot be one.
  std::unique_ptr<Recording> finish();

  const Context& context() const { return on_; }
  // Where the work goes of the call that is being put into the graph.
  cudaStream_t stream() const { return stream_; }
  void keep(void* workspace, size_t bytes) { workspaces_.emplace_back(workspace, bytes); }
  Verdicts& verdicts() { return *verdicts_; }

 private:
  using Nodes = std::vector<cudaGraphNode_t>;
  cudaGraph_t end();
  void join_products();
  void try_join(SmallProduct& product, size_t unit, size_t call);
  std::vector<Work> work() const;
  Nodes put(size_t unit, const Nodes& before);
  Nodes reached() const;

  Context& on_;
  Stream stream_;
  std::vector<Receiver> receivers_;
  Workspaces workspaces_;
  std::unique_ptr<Verdicts> verdicts_;
  std::vector<Call> calls_;
  Dependencies dependencies_;
  bool open_ = true;
};

std::unique_ptr<Recording> record(Context& on, Views places, const std::function<void()>& work);

}  // namespace varve::cuda
