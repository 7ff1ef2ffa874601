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
  void* data = fresh(bytes);
  if (!data) {
    clear();
    data = fresh(bytes);
  }
  return data;
}

void LargeBlocks::give(void* data, size_t bytes) noexcept {
  bytes = rounded(bytes);
  if (bytes > kMostKept) return std::free(data);
  const std::lock_guard lock(mutex_);
  drop_oldest(kMostKept - bytes);
  kept_.push_back({data, bytes});
  kept_bytes_ += bytes;
}

void LargeBlocks::clear() noexcept {
  const std::lock_guard lock(mutex_);
  drop_oldest(0);
}

size_t LargeBlocks::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

// Until no more than so many bytes are kept.
void LargeBlocks::drop_oldest(size_t until) noexcept {
  auto end = kept_.begin();
  for (; kept_bytes_ > until; ++end) {
    kept_bytes_ -= end->bytes;
    std::free(end->data);
  }
  kept_.erase(kept_.begin(), end);
}

}  // namespace varve::cpu
