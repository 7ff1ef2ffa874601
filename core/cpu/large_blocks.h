// LargeBlocks: memory from kHugePage up, in huge pages. What is given back is kept a while for who asks for
// as much next: a page new to the process costs more than most kernels that fill it, and a training step asks
// for the same sizes again and again.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include <varve/core/export.h>

namespace varve::cpu {

inline constexpr size_t kHugePage = size_t{1} << 21;

class VARVE_API LargeBlocks {
 public:
  static constexpr size_t kMostKept = size_t{256} << 20;  // bytes; past it, what was kept longest goes

  LargeBlocks() { kept_.reserve(kMostKept / kHugePage); }
  ~LargeBlocks() { clear(); }
  LargeBlocks(const LargeBlocks&) = delete;
  LargeBlocks& operator=(const LargeBlocks&) = delete;

  // Aligned to kHugePage; null where there is not enough.
  void* take(size_t bytes);
  void give(void* data, size_t bytes) noexcept;
  // Back to the system.
  void clear() noexcept;
  size_t kept_bytes() const;

 private:
  struct Block {
    void* data;
    size_t bytes;
  };
  void free_oldest(std::unique_lock<std::mutex>& lock) noexcept;

  mutable std::mutex mutex_;
  std::vector<Block> kept_;  // in the order they came
  size_t kept_bytes_ = 0;
};

}  // namespace varve::cpu
