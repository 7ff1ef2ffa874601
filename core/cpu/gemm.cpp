// Matrix products: of a few rows or columns by dots.h, those with a side to be read in place by one_packed.h,
// others by Eigen's kernel, with blocks and workspace of our choosing. Which, and the block sizes, depend on
// the problem alone, so the order of every sum does too, and nothing is allocated.
#include <Eigen/Core>
#include <algorithm>

#include <varve/core/cpu/dots.h>
#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/one_packed.h>

namespace varve::cpu {
namespace {

namespace ei = Eigen::internal;

struct Blocks {
  Eigen::Index k, m, n;
};

// Cache sizes are assumed, not asked for: the same sums on every machine of a level.
template <class T>
Blocks blocks_for(Eigen::Index m, Eigen::Index n, Eigen::Index k) {
  constexpr std::ptrdiff_t kL1 = 32 << 10, kL2 = 1 << 20, kL3 = 8 << 20;
  [[maybe_unused]] static const bool set = (Eigen::setCpuCacheSizes(kL1, kL2, kL3), true);
  Blocks b{k, m, n};
  ei::computeProductBlockingSizes<T, T>(b.k, b.m, b.n, Eigen::Index{1});
  return b;
}

template <class T>
struct Blocking : ei::level3_blocking<T, T> {
  Blocking(const Blocks& b, T* workspace) {
    this->m_mc = b.m;
    this->m_nc = b.n;
    this->m_kc = b.k;
    this->m_blockA = workspace;
    this->m_blockB = workspace + (b.m * b.k + 63) / 64 * 64;
  }
  void allocateA() {}
  void allocateB() {}
  void allocateAll() {}
};

// The row-major product c = a b is the column-major c' = b' a': what Eigen calls the left side is our b.
template <class T>
size_t workspace(int64_t m, int64_t n, int64_t k) {
  const Blocks b = blocks_for<T>(n, m, k);
  return std::max(OnePacked<T>::workspace(m, n, k),
                  sizeof(T) * static_cast<size_t>((b.m * b.k + 63) / 64 * 64 + b.n * b.k));
}

template <class T, int kLeft, int kRight>
void multiply(int64_t m, int64_t n, int64_t k, const T* left, int64_t left_stride, const T* right,
              int64_t right_stride, T* c, int64_t c_rows, T* memory) {
  Blocking<T> blocking(blocks_for<T>(n, m, k), memory);
  ei::general_matrix_matrix_product<Eigen::Index, T, kLeft, false, T, kRight, false, Eigen::ColMajor, 1>::run(
      n, m, k, left, left_stride, right, right_stride, c, 1, c_rows, T(1), blocking, nullptr);
}

template <class T>
void run(int64_t m, int64_t n, int64_t k, GemmOperand a, GemmOperand b, void* out, int64_t c_rows,
         void* memory) {
  T* c = static_cast<T*>(out);
  const T *x = static_cast<const T*>(a.data), *y = static_cast<const T*>(b.data);
  T* blocks = static_cast<T*>(memory);
  const Side<T> rows{x, a.rows, a.columns}, columns{y, b.columns, b.rows};
  if (Dots<T>::suits(m, n, k, rows, columns)) return Dots<T>::run(m, n, k, rows, columns, c, c_rows);
  if (OnePacked<T>::suits(m, n, k, rows, columns))
    return OnePacked<T>::run(m, n, k, rows, columns, c, c_rows, blocks);
  for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_rows, n, T(0));
  constexpr int kCol = Eigen::ColMajor, kRow = Eigen::RowMajor;
  const bool b_rows = b.columns == 1, a_rows = a.columns == 1;  // row-major, so column-major once transposed
  if (b_rows && a_rows)
    multiply<T, kCol, kCol>(m, n, k, y, b.rows, x, a.rows, c, c_rows, blocks);
  else if (b_rows)
    multiply<T, kCol, kRow>(m, n, k, y, b.rows, x, a.columns, c, c_rows, blocks);
  else if (a_rows)
    multiply<T, kRow, kCol>(m, n, k, y, b.columns, x, a.rows, c, c_rows, blocks);
  else
    multiply<T, kRow, kRow>(m, n, k, y, b.columns, x, a.columns, c, c_rows, blocks);
}

}  // namespace

void fill_gemm(Kernels& table) {
  table.gemm[0] = {workspace<float>, run<float>};
  table.gemm[1] = {workspace<double>, run<double>};
}

}  // namespace varve::cpu
