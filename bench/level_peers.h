// What a matrix product is measured against, compiled for each instruction set as varve's own kernels are.
#pragma once

#include <cstdint>

namespace bench {

struct Peers {
  // c [m, n] = a [m, k] b [k, n], row-major, by an Eigen expression.
  void (*eigen_f32)(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);
  void (*eigen_f64)(int64_t m, int64_t n, int64_t k, const double* a, const double* b, double* c);
  void (*eigen_threads)(int count);
  // Runs `rounds` of independent multiply-adds in registers; returns how many floating-point operations that
  // was.
  double (*fma_f32)(int64_t rounds);
  double (*fma_f64)(int64_t rounds);
  // The same of pairs of bf16; only where the processor has AVX512-BF16.
  double (*dot_bf16)(int64_t rounds);
  // And of squares of bf16; only where varve has a level for AMX.
  double (*square_bf16)(int64_t rounds);
  // a = b + s c, and a = a + s b
  void (*triad)(int64_t count, float* a, const float* b, const float* c);
  void (*triad_in_place)(int64_t count, float* a, const float* b);
};

// The peers built for varve::cpu::level().
const Peers& peers();

}  // namespace bench
