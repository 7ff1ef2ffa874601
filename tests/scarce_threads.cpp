#include "tests/scarce_threads.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <climits>

namespace {
constinit std::atomic<int> startable{INT_MAX};
}  // namespace

namespace varve::test {
ScarceThreads::ScarceThreads(int count) { startable = count; }
ScarceThreads::~ScarceThreads() { startable = INT_MAX; }
}  // namespace varve::test

// In place of the C library's: fails as it does where there are no more threads.
extern "C" [[gnu::visibility("default")]] int pthread_create(pthread_t* thread,
                                                             const pthread_attr_t* attributes,
                                                             void* (*run)(void*), void* argument) noexcept {
  static const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return startable-- > 0 ? create(thread, attributes, run, argument) : EAGAIN;
}
