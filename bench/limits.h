// What the machine can do at most, measured.
#pragma once

#include <cstdint>
#include <string>

#include <varve/bench/cases.h>

namespace bench {

// Floating-point operations a second that `threads` threads reach together in registers: the best of five.
double peak_f32(int threads);
double peak_f64(int threads);
double peak_bf16(int threads);

// Cases that are ceilings of others, with as many threads as varve has when they run. A peak:
Case peak_case(const std::string& name, double (*peak)(int threads) = peak_f32);
// The triad a = b + s c over f32 arrays of that many elements, each thread on a part of its own; or a = a + s
// b, which is faster, for a processor reads what it is about to write.
Case triad_case(const std::string& name, int64_t elements, bool in_place = false);

}  // namespace bench
