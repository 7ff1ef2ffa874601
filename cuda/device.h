// A GPU and what orders work on it, as RAII: the current device, a stream, an event.
#pragma once

#include <cstddef>
#include <utility>

#include <varve/cuda/check.h>

namespace varve::cuda {

// How many GPUs there are; DeviceError that says what is missing where there is none.
int device_count();

// While one lives, calls on this thread go to that GPU.
class Current {
 public:
  explicit Current(int device);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int before_ = 0, device_;
};

class Stream {
 public:
  Stream() { VARVE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { VARVE_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  // Where it cannot be, what it would have stood for is waited for: somebody may count on that.
  void record(cudaStream_t stream) const;
  void wait() const { VARVE_CUDA_CHECK(cudaEventSynchronize(event_)); }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace varve::cuda
