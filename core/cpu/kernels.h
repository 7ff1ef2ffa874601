// The loops that are compiled once per instruction set: one table of plain functions for each level.
//
// Everything here sees contiguous rows of a compute type (f32, f64, i64, u64); strides, other dtypes, threads
// and the order of sums are the drivers' work, in code compiled once. A null entry: the function is not for
// that type.
#pragma once

#include <cstdint>

#include <varve/core/backend.h>
#include <varve/core/pointwise_kernels.h>

namespace varve::cpu {

// y... = F(x...) over n elements; an output may be an input.
using PointwiseLoop = void (*)(const void* const* in, void* const* out, int64_t n, const double* constants);
// to[i] = from[i * stride], from a dtype to a compute type.
using LoadLoop = void (*)(const void* from, int64_t stride, void* to, int64_t n);
// to[i * stride] = from[i], from a compute type to a dtype.
using StoreLoop = void (*)(const void* from, void* to, int64_t stride, int64_t n);
struct ReduceLoops {
  void (*row)(const void* x, int64_t n, void* y);  // *y = x[0] op ... op x[n - 1], in a fixed tree; n >= 1
  void (*columns)(const void* x, void* y, int64_t n);  // y[j] = y[j] op x[j]
};
// `rows` rows of n: where those of the function's inputs begin, then those of its outputs, and how many
// elements lie from one beginning to the next.
struct RowBlock {
  static constexpr size_t kMost = 4;
  int64_t rows, n;
  void* data[kMost];
  int64_t step[kMost];

  template <class T>
  T* row(size_t operand, int64_t r) const {
    return static_cast<T*>(data[operand]) + r * step[operand];
  }
};
using RowLoop = void (*)(const RowBlock& block);
// Element first + i of a draw for i < n; `first` is a multiple of kDrawAlign.
using RandomLoop = void (*)(double p, uint64_t seed, uint64_t counter, int64_t first, void* out, int64_t n);
inline constexpr int64_t kDrawAlign = 4;

// c [m, n] = a [m, k] b [k, n] for element (i, j) at i * rows + j * columns; one of each pair of strides is
// 1, c has unit columns.
struct GemmOperand {
  const void* data;
  int64_t rows, columns;
};
struct Gemm {
  size_t (*workspace)(int64_t m, int64_t n, int64_t k);  // bytes, 64-byte aligned, for run
  void (*run)(int64_t m, int64_t n, int64_t k, GemmOperand a, GemmOperand b, void* c, int64_t c_rows,
              void* workspace);
};

struct Kernels {
  PointwiseLoop pointwise[pointwise::Kernels::size][kComputes];
  LoadLoop load[kDTypes][kComputes];
  StoreLoop store[kComputes][kDTypes];
  ReduceLoops reduce[kReduceFns][kComputes];
  RowLoop rows[kRowFns][kComputes];
  RandomLoop random[kRandomFns][2];  // f32, f64
  Gemm gemm[kFloatings];             // by dtype; f16 and bf16 summed in f32, to an f32 c
};

// The parts of a level's table, each filled by its own file.
void fill_pointwise(Kernels& table);
void fill_conversions(Kernels& table);
void fill_reductions(Kernels& table);
void fill_rows(Kernels& table);
void fill_random(Kernels& table);
void fill_gemm(Kernels& table);

}  // namespace varve::cpu
