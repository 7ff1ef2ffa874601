// Memory of the simulated device and pinned memory of the host: both the host's, and told apart.
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/cuda/simulated/device.h"

namespace {

using namespace varve::simulated;

constexpr size_t kTotal = size_t{768} << 20, kAligned = 256, kMostFilled = size_t{1} << 20;

struct Heap {
  std::map<const std::byte*, size_t> blocks;
  size_t used = 0;

  cudaError_t take(void** data, size_t bytes, size_t most) {
    if (const cudaError_t code = refused()) return code;
    const std::lock_guard lock(device_mutex());
    if (bytes > most - used) return cudaErrorMemoryAllocation;
    const size_t room = std::max<size_t>(1, (bytes + kAligned - 1) / kAligned) * kAligned;
    auto* const at = static_cast<std::byte*>(std::aligned_alloc(kAligned, room));
    if (!at) return cudaErrorMemoryAllocation;
    std::memset(at, 0xff, std::min(bytes, kMostFilled));  // NaN, -1: nobody's zeros
    blocks[at] = bytes, used += bytes, *data = at;
    return cudaSuccess;
  }
  // Once all that is under way is done, as the driver does.
  cudaError_t give(void* data) {
    const std::lock_guard lock(device_mutex());
    if (!data) return cudaSuccess;
    finish_all();
    const auto found = blocks.find(static_cast<std::byte*>(data));
    if (found == blocks.end()) misuse("what is freed was not allocated");
    used -= found->second;
    blocks.erase(found);
    std::free(data);
    return cudaSuccess;
  }
  bool holds(const void* data, size_t bytes) const {
    const auto* const at = static_cast<const std::byte*>(data);
    const auto after = blocks.upper_bound(at);
    return after != blocks.begin() && at + bytes <= std::prev(after)->first + std::prev(after)->second;
  }
};
Heap device, pinned;

}  // namespace

bool varve::simulated::is_on_device(const void* data, size_t bytes) {
  const std::lock_guard lock(device_mutex());
  return device.holds(data, bytes);
}

cudaError_t cudaMalloc(void** data, size_t bytes) { return device.take(data, bytes, kTotal); }
cudaError_t cudaFree(void* data) { return device.give(data); }
cudaError_t cudaMallocHost(void** data, size_t bytes) { return pinned.take(data, bytes, SIZE_MAX); }
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) { return cudaMallocHost(data, bytes); }
cudaError_t cudaFreeHost(void* data) { return pinned.give(data); }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard lock(device_mutex());
  *free = kTotal - device.used, *total = kTotal;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  const Heap& source = kind == cudaMemcpyHostToDevice ? pinned : device;
  const Heap& target = kind == cudaMemcpyDeviceToHost ? pinned : device;
  if (!source.holds(from, bytes) || !target.holds(to, bytes))
    misuse("a copy leaves its memory, or is of another kind than said");
  return enqueue(stream, [=] { std::memmove(to, from, bytes); });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t code = refused()) return code;
  const std::lock_guard lock(device_mutex());
  if (!device.holds(to, bytes)) misuse("what is set leaves its memory");
  return enqueue(stream, [=] { std::memset(to, value, bytes); });
}
