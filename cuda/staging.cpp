#include <varve/cuda/staging.h>

#include <algorithm>
#include <cstring>

namespace varve::cuda {

void Staging::upload(cudaStream_t stream, const void* from, void* to, size_t bytes) {
  const std::lock_guard lock(mutex_);
  size_t turn = 0;
  for (size_t done = 0; done < bytes; done += Buffer::kBytes, turn ^= 1) {
    const size_t count = std::min(Buffer::kBytes, bytes - done);
    const Buffer& buffer = buffers_[turn];
    buffer.done().wait();
    std::memcpy(buffer.data(), static_cast<const std::byte*>(from) + done, count);
    VARVE_CUDA_CHECK(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, buffer.data(), count,
                                     cudaMemcpyHostToDevice, stream));
    buffer.done().record(stream);
  }
}

void Staging::download(cudaStream_t stream, const void* from, void* to, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto chunk = [&](size_t i) { return std::min(Buffer::kBytes, bytes - i * Buffer::kBytes); };
  const size_t chunks = (bytes + Buffer::kBytes - 1) / Buffer::kBytes;
  for (size_t i = 0; i <= chunks; ++i) {  // chunk i on its way while chunk i - 1 is copied out
    if (i < chunks) {
      const Buffer& buffer = buffers_[i % 2];
      VARVE_CUDA_CHECK(cudaMemcpyAsync(buffer.data(),
                                       static_cast<const std::byte*>(from) + i * Buffer::kBytes, chunk(i),
                                       cudaMemcpyDeviceToHost, stream));
      buffer.done().record(stream);
    }
    if (i == 0) continue;
    const Buffer& last = buffers_[(i - 1) % 2];
    last.done().wait();
    std::memcpy(static_cast<std::byte*>(to) + (i - 1) * Buffer::kBytes, last.data(), chunk(i - 1));
  }
}

}  // namespace varve::cuda
