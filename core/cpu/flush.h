// Flush: while one lives, a result of this thread's that would be denormal is zero. Moments of what has no
// gradient any more end as denormal numbers, and many processors take a hundred cycles for each: a step took
// three times as long.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace varve::cpu {

class Flush {
 public:
#if defined(__SSE__)
  explicit Flush(bool on = true) : begun_(on && !is_on()) {
    if (begun_) _mm_setcsr(_mm_getcsr() | kFlushToZero);
  }
  ~Flush() {
    if (begun_) _mm_setcsr(_mm_getcsr() & ~kFlushToZero);
  }
  static bool is_on() { return (_mm_getcsr() & kFlushToZero) != 0; }
#else
  explicit Flush(bool = true) {}
  ~Flush() {}
  static bool is_on() { return false; }
#endif
  Flush(const Flush&) = delete;
  Flush& operator=(const Flush&) = delete;

 private:
#if defined(__SSE__)
  static constexpr unsigned kFlushToZero = 0x8000;  // of MXCSR; denormal inputs are taken as they are
  bool begun_;
#endif
};

}  // namespace varve::cpu
