#include "tests/allocations.h"

#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace varve::test {
constinit Allocations allocations;
}

namespace {

using varve::test::allocations;

void raise(std::atomic<size_t>& most, size_t to) {
  for (size_t seen = most; to > seen && !most.compare_exchange_weak(seen, to);) {
  }
}

void* noted(size_t bytes, size_t alignment = alignof(std::max_align_t)) {
  ++allocations.count;
  raise(allocations.largest, bytes);
  if (bytes > PTRDIFF_MAX) return nullptr;  // not worth asking for, and the sanitizer would end the program
  return std::aligned_alloc(alignment, (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment);
}
void* noted_or_throw(size_t bytes, size_t alignment = alignof(std::max_align_t)) {
  void* memory = noted(bytes, alignment);
  if (!memory) throw std::bad_alloc();
  raise(allocations.peak, allocations.live += ::malloc_usable_size(memory));
  return memory;
}
void given_back(void* memory) {
  allocations.live -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

// free() takes all back.
void* operator new(size_t bytes) { return noted_or_throw(bytes); }
void* operator new(size_t bytes, std::align_val_t a) { return noted_or_throw(bytes, static_cast<size_t>(a)); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  void* memory = noted(bytes);
  allocations.live += ::malloc_usable_size(memory);
  return memory;
}
// Those of arrays call the others, unless a sanitizer has its own.
void* operator new[](size_t bytes) { return noted_or_throw(bytes); }
void operator delete[](void* p) noexcept { given_back(p); }
void operator delete[](void* p, size_t) noexcept { given_back(p); }
void operator delete(void* p) noexcept { given_back(p); }
void operator delete(void* p, size_t) noexcept { given_back(p); }
void operator delete(void* p, std::align_val_t) noexcept { given_back(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { given_back(p); }
extern "C" int posix_memalign(void** out, size_t alignment, size_t bytes) {
  *out = noted(bytes, alignment);
  return *out ? 0 : ENOMEM;
}
