// Staging: bytes between host and device, by way of two pinned buffers in turn, so that one is filled while
// the other is on its way.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>

#include <varve/cuda/device.h>

namespace varve::cuda {

class Staging {
 public:
  Staging() = default;
  // Returns when `from` may be written again; the device may still be behind.
  void upload(cudaStream_t stream, const void* from, void* to, size_t bytes);
  // Returns when `to` has the bytes, and everything before on the stream is done.
  void download(cudaStream_t stream, const void* from, void* to, size_t bytes);

 private:
  class Buffer {
   public:
    static constexpr size_t kBytes = size_t{4} << 20;
    Buffer() { VARVE_CUDA_CHECK(cudaMallocHost(&data_, kBytes)); }
    ~Buffer() { cudaFreeHost(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    void* data() const { return data_; }
    const Event& done() const { return done_; }

   private:
    void* data_ = nullptr;
    Event done_;
  };

  std::mutex mutex_;
  std::array<Buffer, 2> buffers_;
};

}  // namespace varve::cuda
