// Ferries: pinned memory by which bytes go to a GPU and from it, on a stream beside the one that computes;
// kept for the next who needs it.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

#include <varve/core/backend.h>
#include <varve/cuda/device.h>

namespace varve::cuda {

class Findings;

class Ferries {
 public:
  explicit Ferries(Findings& findings) : findings_(findings) {}
  // Of the current device, whose work is asked for on `main`.
  std::unique_ptr<Ferry> take(int device, cudaStream_t main, size_t bytes);

 private:
  class Crossing;
  struct Pinned {
    explicit Pinned(size_t size) : bytes(size) { VARVE_CUDA_CHECK(cudaMallocHost(&data, bytes)); }
    ~Pinned() { cudaFreeHost(data); }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;

    void* data = nullptr;
    size_t bytes;
    Event made, done;  // what comes before all that it carries; the last of that
  };
  std::unique_ptr<Pinned> memory(size_t bytes);
  void give(std::unique_ptr<Pinned> memory) noexcept;

  Findings& findings_;
  std::mutex mutex_;
  std::deque<std::unique_ptr<Pinned>> idle_;  // the longest unused first
  Stream stream_;
};

}  // namespace varve::cuda
