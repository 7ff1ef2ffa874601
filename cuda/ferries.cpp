#include <varve/cuda/ferries.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include <varve/cuda/verdicts.h>

namespace varve::cuda {

class Ferries::Crossing final : public Ferry {
 public:
  Crossing(Ferries& home, int device, cudaStream_t main, std::unique_ptr<Pinned> memory)
      : Ferry({static_cast<std::byte*>(memory->data), memory->bytes}),
        home_(home),
        device_(device),
        main_(main),
        memory_(std::move(memory)) {}
  // What is under way goes on, for nobody has its memory before it is done.
  ~Crossing() override {
    if (cudaStreamWaitEvent(main_, memory_->done) != cudaSuccess) {
      cudaEventSynchronize(memory_->done);
      cudaGetLastError();
    }
    home_.give(std::move(memory_));
  }
  void upload(const std::byte* from, void* to, size_t bytes) override {
    begin(to, from, bytes, cudaMemcpyHostToDevice);
  }
  void download(const void* from, std::byte* to, size_t bytes) override {
    begin(to, from, bytes, cudaMemcpyDeviceToHost);
    read_.emplace_back(static_cast<const std::byte*>(from), bytes);
  }
  void wait() override {
    memory_->done.wait();
    for (const Backend::Memory memory : std::exchange(read_, {})) home_.findings_.refuse(memory);
  }

 private:
  void begin(void* to, const void* from, size_t bytes, cudaMemcpyKind way) {
    const Current current(device_);
    VARVE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, way, home_.stream_));
    memory_->done.record(home_.stream_);
  }

  Ferries& home_;
  int device_;
  cudaStream_t main_;
  std::unique_ptr<Pinned> memory_;
  std::vector<Backend::Memory> read_;
};

std::unique_ptr<Ferry> Ferries::take(int device, cudaStream_t main, size_t bytes) {
  std::unique_ptr<Pinned> taken = memory(bytes);
  taken->done.wait();  // of what it carried for another
  taken->made.record(main);
  VARVE_CUDA_CHECK(cudaStreamWaitEvent(stream_, taken->made));
  return std::make_unique<Crossing>(*this, device, main, std::move(taken));
}

std::unique_ptr<Ferries::Pinned> Ferries::memory(size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(idle_.begin(), idle_.end(), [&](const auto& memory) { return memory->bytes == bytes; });
    if (found != idle_.end()) {
      std::unique_ptr<Pinned> taken = std::move(*found);
      idle_.erase(found);
      return taken;
    }
  }
  return std::make_unique<Pinned>(bytes);
}

void Ferries::give(std::unique_ptr<Pinned> memory) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(memory));
  } catch (const std::bad_alloc&) {  // then it is freed, once the driver is done with it
  }
}

}  // namespace varve::cuda
