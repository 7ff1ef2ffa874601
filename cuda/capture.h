// Capture: while one lives, what this thread asks of a GPU becomes a graph instead of being done.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <varve/core/backend.h>
#include <varve/core/index_range.h>
#include <varve/cuda/context.h>
#include <varve/cuda/dependencies.h>

namespace varve::cuda {

// Memory that host and device see, where recorded kernels put an index that is out of range.
class Verdicts {
 public:
  explicit Verdicts(Context& on);
  ~Verdicts();
  Verdicts(const Verdicts&) = delete;
  Verdicts& operator=(const Verdicts&) = delete;

  // A place for what is found outside of the range.
  int64_t* place(const IndexRange& range);
  // Throws what was found, once.
  void check();

 private:
  static constexpr size_t kMost = 256;
  Context& on_;
  int64_t* found_ = nullptr;
  std::vector<IndexRange> questions_;
};

// What a verdict is before anything is found; no index of a tensor that exists.
inline constexpr int64_t kNothingFound = INT64_MIN;

// Thrown where a recording would have to wait for the device.
struct CannotRecord {};

class Capture {
 public:
  explicit Capture(Context& on);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

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
  std::vector<std::pair<void*, size_t>> workspaces_;
  std::unique_ptr<Verdicts> verdicts_;
  Dependencies dependencies_;
  std::vector<Nodes> ends_;  // of each call before the last
  Nodes after_;              // what the last one follows
  bool began_ = false, open_ = true;
};

std::unique_ptr<Recording> record(Context& on, const std::function<void()>& work);

}  // namespace varve::cuda
