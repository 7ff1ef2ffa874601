// What the machine can do at most, measured.
#pragma once

namespace bench {

// Floating-point operations a second that `threads` threads reach together in registers: the best of five.
double peak_f32(int threads);
double peak_f64(int threads);

}  // namespace bench
