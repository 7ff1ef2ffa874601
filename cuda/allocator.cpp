#include <varve/cuda/allocator.h>

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include <varve/core/error.h>
#include <varve/cuda/check.h>

namespace varve::cuda {
namespace {

constexpr size_t kSmallest = 512;

[[noreturn]] void out_of_memory(size_t bytes, size_t used) {
  size_t free = 0, total = 0;
  const bool is_known = cudaMemGetInfo(&free, &total) == cudaSuccess;
  cudaGetLastError();
  throw MemoryError(fmt::format(
      "cuda: out of memory: {} bytes cannot be had; tensors hold {}{}. Use smaller batches, or let "
      "go of tensors",
      bytes, used, is_known ? fmt::format(", {} of the device's {} bytes are free", free, total) : ""));
}

}  // namespace

size_t Allocator::size_class(size_t bytes) {
  const size_t step = std::max(kSmallest, std::bit_floor(bytes) / 8);
  if (bytes > SIZE_MAX - step) return bytes;  // will not be had
  return std::max(kSmallest, (bytes + step - 1) / step * step);
}

void* Allocator::take(size_t bytes) {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  void* data = nullptr;
  if (const auto found = free_.find(size); found != free_.end() && !found->second.empty()) {
    data = found->second.back();
    found->second.pop_back();
  } else if (cudaError_t code = cudaMalloc(&data, size); code != cudaSuccess) {
    cudaGetLastError();
    if (code == cudaErrorMemoryAllocation) {
      drop_cached();
      code = cudaMalloc(&data, size);
    }
    if (code == cudaErrorMemoryAllocation) out_of_memory(bytes, used_);
    if (code != cudaSuccess) fail(code, "cudaMalloc");
  }
  used_ += size;
  return data;
}

void Allocator::give(void* data, size_t bytes) noexcept {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  used_ -= size;
  try {
    free_[size].push_back(data);
  } catch (const std::bad_alloc&) {
    cudaFree(data);
  }
}

void Allocator::trim() noexcept {
  const std::lock_guard lock(mutex_);
  drop_cached();
}

// The driver waits for what still runs.
void Allocator::drop_cached() noexcept {
  for (auto& [size, blocks] : free_)
    for (void* data : blocks) cudaFree(data);
  free_.clear();
}

}  // namespace varve::cuda
