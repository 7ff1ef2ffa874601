#include "tests/allocations.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>

namespace varve::test {
constinit Allocations allocations;
}

namespace {

using varve::test::allocations;

void* noted(size_t bytes, size_t alignment = alignof(std::max_align_t)) {
  ++allocations.count;
  for (size_t seen = allocations.largest;
       bytes > seen && !allocations.largest.compare_exchange_weak(seen, bytes);) {
  }
  return std::aligned_alloc(alignment, (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment);
}
void* noted_or_throw(size_t bytes, size_t alignment = alignof(std::max_align_t)) {
  if (void* memory = noted(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// free() takes all back.
void* operator new(size_t bytes) { return noted_or_throw(bytes); }
void* operator new(size_t bytes, std::align_val_t a) { return noted_or_throw(bytes, static_cast<size_t>(a)); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return noted(bytes); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
extern "C" int posix_memalign(void** out, size_t alignment, size_t bytes) {
  *out = noted(bytes, alignment);
  return *out ? 0 : ENOMEM;
}
