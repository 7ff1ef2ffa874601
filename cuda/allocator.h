// The caching allocator: blocks by size class, kept for the next who asks. A device has one stream, so a
// block that was given back may be used again at once: what still reads it comes first.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

namespace varve::cuda {

class Allocator {
 public:
  Allocator() = default;
  ~Allocator() { trim(); }
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // 512-byte aligned. A MemoryError with the figures where there is not enough.
  void* take(size_t bytes);
  void give(void* data, size_t bytes) noexcept;
  // Gives back to the driver what nobody uses.
  void trim() noexcept;

  // How much a request takes up: at most an eighth more.
  static size_t size_class(size_t bytes);

 private:
  void drop_cached() noexcept;

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  size_t used_ = 0;
};

}  // namespace varve::cuda
