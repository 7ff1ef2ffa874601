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
  // Or not, where a thread that is new has it from the one that made it.
  explicit Flush(bool on = true) : before_(is_on()) { set(on); }
  ~Flush() { set(before_); }
  Flush(const Flush&) = delete;
  Flush& operator=(const Flush&) = delete;

#if defined(__SSE__)
  static bool is_on() { return (_mm_getcsr() & kFlushToZero) != 0; }

 private:
  static constexpr unsigned kFlushToZero = 0x8000;  // of MXCSR; denormal inputs are taken as they are
  static void set(bool on) {
    const unsigned now = _mm_getcsr();
    if (((now & kFlushToZero) != 0) != on) _mm_setcsr(now ^ kFlushToZero);
  }
#else
  static bool is_on() { return false; }

 private:
  static void set(bool) {}
#endif
  bool before_;
};

}  // namespace varve::cpu
