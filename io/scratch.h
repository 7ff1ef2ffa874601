// Scratch: memory for what a task works on, kept for its next one: no larger than the largest that was asked
// for, where a vector would double.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace varve::io {

class Scratch {
 public:
  // That many bytes, of any values; what was taken before is gone.
  std::span<std::byte> take(size_t bytes) {
    if (bytes > size_) {
      memory_.reset(), size_ = 0;  // what follows may throw
      memory_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      size_ = bytes;
    }
    return {memory_.get(), bytes};
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  size_t size_ = 0;
};

}  // namespace varve::io
