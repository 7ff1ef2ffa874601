// Context: what the drivers of one GPU work with: its stream, memory, ways to the host, and products.
#pragma once

#include <cstdint>
#include <mutex>

#include <varve/cuda/allocator.h>
#include <varve/cuda/device.h>
#include <varve/cuda/ferries.h>
#include <varve/cuda/product_plans.h>
#include <varve/cuda/staging.h>
#include <varve/cuda/verdicts.h>

namespace varve::cuda {

class Capture;

struct Context {
  explicit Context(int device);

  int device;
  int processors;  // how many blocks run side by side, at least
  bool hopper;     // whether kernels may overlap and blocks form clusters: hopper.cuh
  size_t cache;    // bytes of the last level
  Stream stream;
  Allocator allocator;
  Findings findings;
  Staging staging;
  Ferries ferries{findings};

  std::mutex products_mutex;  // one thread at a time may use them
  ProductPlans products;

  // What this thread records here, if it does; and where its work goes.
  Capture* capture() const;
  cudaStream_t queue() const;
  // Waits for the bytes and for all that came before; refuses an index that a recording found out of range.
  void download(const void* from, void* to, size_t bytes);
};

// Makes a call that may need memory of the device; where it gets none, once more without what the allocator
// keeps for others.
template <class Call>
void with_room(Context& on, const char* name, Call&& call) {
  cudaError_t code = call();
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    on.allocator.trim();
    code = call();
  }
  if (code != cudaSuccess) fail(code, name);
}

// Memory for the length of one call: who comes next on the stream may have it.
class Workspace {
 public:
  Workspace(Context& context, size_t bytes)
      : context_(context), bytes_(bytes), data_(context.allocator.take(bytes)) {}
  ~Workspace();  // what is recorded keeps it
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Context& context_;
  size_t bytes_;
  void* data_;
};

inline constexpr int kThreads = 256;  // of a block
// Blocks for so many threads: no more than keep the device busy, for kernels walk on by the size of the grid.
inline unsigned blocks_for(const Context& context, int64_t threads) {
  const int64_t wanted = (threads + kThreads - 1) / kThreads, most = int64_t{context.processors} * 16;
  return static_cast<unsigned>(wanted < most ? wanted : most);
}

}  // namespace varve::cuda
