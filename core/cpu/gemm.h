// Matrix products of one kind of factors: of a few rows or columns by dots.h where both have their sums
// contiguous, others by packed.h. Which depends on the problem alone, so the order of every sum does too, and
// nothing is allocated.
#pragma once

#include <varve/core/cpu/dots.h>
#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/packed.h>

namespace varve::cpu {

template <class Factor>
void run_gemm(int64_t m, int64_t n, int64_t k, GemmOperand a, GemmOperand b, void* c, int64_t c_rows,
              void* workspace) {
  using Stored = typename Factor::Stored;
  const Side<Stored> rows{static_cast<const Stored*>(a.data), a.rows, a.columns};
  const Side<Stored> columns{static_cast<const Stored*>(b.data), b.columns, b.rows};
  const auto out = static_cast<typename Factor::Sum*>(c);
  if constexpr (Factor::kReadable)
    if (Dots<Factor>::suits(m, n, k, rows, columns))
      return Dots<Factor>::run(m, n, k, rows, columns, out, c_rows);
  Packed<Factor>::run(m, n, k, rows, columns, out, c_rows, workspace);
}

template <class Factor>
inline constexpr Gemm kGemm{Packed<Factor>::workspace, run_gemm<Factor>};

}  // namespace varve::cpu
