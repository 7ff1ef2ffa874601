// Matrix products: of a few rows or columns by dots.h where both factors have their sums contiguous, others
// by packed.h. Which depends on the problem alone, so the order of every sum does too, and nothing is
// allocated.
#include <varve/core/cpu/dots.h>
#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/packed.h>

namespace varve::cpu {
namespace {

template <class T>
void run(int64_t m, int64_t n, int64_t k, GemmOperand a, GemmOperand b, void* c, int64_t c_rows,
         void* workspace) {
  const Side<T> rows{static_cast<const T*>(a.data), a.rows, a.columns};
  const Side<T> columns{static_cast<const T*>(b.data), b.columns, b.rows};
  T* const out = static_cast<T*>(c);
  if (Dots<T>::suits(m, n, k, rows, columns)) return Dots<T>::run(m, n, k, rows, columns, out, c_rows);
  Packed<T>::run(m, n, k, rows, columns, out, c_rows, static_cast<T*>(workspace));
}

}  // namespace

void fill_gemm(Kernels& table) {
  table.gemm[0] = {Packed<float>::workspace, run<float>};
  table.gemm[1] = {Packed<double>::workspace, run<double>};
}

}  // namespace varve::cpu
