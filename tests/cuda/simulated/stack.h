// Stacks that one thread of the host changes between.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <memory>

namespace varve::simulated {

class Stack {
 public:
  // That which runs here, whatever it is.
  Stack() = default;
  // One of its own, where `entry`, which never returns, begins with the first switch to it.
  explicit Stack(void (*entry)());
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // From this one, which runs, to another, until somebody switches back.
  void switch_to(Stack& other);
  // By `entry`, first: it came from there.
  static void arrive_from(Stack& other);

 private:
  std::unique_ptr<std::byte[]> memory_;
  const void* bottom_ = nullptr;
  size_t size_ = 0;
#if defined(__x86_64__)
  void* left_ = nullptr;
#else
  ucontext_t left_;
#endif
};

}  // namespace varve::simulated
