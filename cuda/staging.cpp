#include <varve/cuda/staging.h>

#include <algorithm>
#include <cstring>

#include <varve/core/cpu/threads.h>

namespace varve::cuda {
namespace {

// By all threads, for one alone is slower than the bus.
void copy_on_host(void* to, const void* from, size_t bytes) {
  constexpr size_t kPiece = size_t{256} << 10;
  cpu::parallel(static_cast<int64_t>((bytes + kPiece - 1) / kPiece), [&](int64_t i) {
    const size_t at = static_cast<size_t>(i) * kPiece;
    std::memcpy(static_cast<std::byte*>(to) + at, static_cast<const std::byte*>(from) + at,
                std::min(kPiece, bytes - at));
  });
}

}  // namespace

void Staging::upload(cudaStream_t stream, const void* from, void* to, size_t bytes) {
  const std::lock_guard lock(mutex_);
  size_t turn = 0;
  for (size_t done = 0; done < bytes; done += Buffer::kBytes, turn ^= 1) {
    const size_t count = std::min(Buffer::kBytes, bytes - done);
    const Buffer& buffer = buffers_[turn];
    buffer.done().wait();
    copy_on_host(buffer.data(), static_cast<const std::byte*>(from) + done, count);
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
    copy_on_host(static_cast<std::byte*>(to) + (i - 1) * Buffer::kBytes, last.data(), chunk(i - 1));
  }
}

}  // namespace varve::cuda
