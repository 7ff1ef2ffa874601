// What a test's program asks memory for: by new, and for all but short tensors by posix_memalign. For those
// that link allocations.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace varve::test {

struct Allocations {
  std::atomic<int64_t> count{0};
  std::atomic<size_t> largest{0};  // piece of memory
  std::atomic<size_t> live{0};     // bytes by new that are in use
  std::atomic<size_t> peak{0};     // of those
};
extern Allocations allocations;

}  // namespace varve::test
