// Where the system has no more threads. For those that link scarce_threads.cpp.
#pragma once

namespace varve::test {

// While one lives, so many more may start.
class ScarceThreads {
 public:
  explicit ScarceThreads(int startable);
  ~ScarceThreads();
  ScarceThreads(const ScarceThreads&) = delete;
  ScarceThreads& operator=(const ScarceThreads&) = delete;
};

}  // namespace varve::test
