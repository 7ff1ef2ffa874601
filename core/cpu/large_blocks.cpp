#include <varve/core/cpu/large_blocks.h>

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace varve::cpu {
namespace {

// Sizes that differ by less count as one.
constexpr size_t kStep = size_t{1} << 16;
size_t rounded(size_t bytes) { return (bytes + kStep - 1) / kStep * kStep; }

void* fresh(size_t bytes) {
  void* data = nullptr;
  if (::posix_memalign(&data, kHugePage, bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  // The first touch then costs a page fault for each 2 MiB rather than for each 4 KiB.
  ::madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

}  // namespace

void* LargeBlocks::take(size_t bytes) {
  if (bytes > SIZE_MAX - kStep) return nullptr;
  bytes = rounded(bytes);
  {
    const std::lock_guard lock(mutex_);
    // The last that came may still be in a cache.
    const auto found =
        std::find_if(kept_.rbegin(), kept_.rend(), [&](const Block& b) { return b.bytes == bytes; });
    if (found != kept_.rend()) {
      void* const data = found->data;
      kept_bytes_ -= bytes;
      kept_.erase(std::next(found).base());
      return data;
    }
  }
  return fresh(bytes);
}

void LargeBlocks::give(void* data, size_t bytes) noexcept {
  bytes = rounded(bytes);
  if (bytes > kMostKept) return std::free(data);
  for (;;) {
    std::unique_lock lock(mutex_);
    if (kept_bytes_ + bytes > kMostKept) {
      free_oldest(lock);
      continue;
    }
    kept_.push_back({data, bytes});
    kept_bytes_ += bytes;
    return;
  }
}

void LargeBlocks::clear() noexcept {
  for (;;) {
    std::unique_lock lock(mutex_);
    if (kept_.empty()) return;
    free_oldest(lock);
  }
}

size_t LargeBlocks::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

// Nobody else waits while the system takes it.
void LargeBlocks::free_oldest(std::unique_lock<std::mutex>& lock) noexcept {
  const Block oldest = kept_.front();
  kept_.erase(kept_.begin());
  kept_bytes_ -= oldest.bytes;
  lock.unlock();
  std::free(oldest.data);
}

}  // namespace varve::cpu
