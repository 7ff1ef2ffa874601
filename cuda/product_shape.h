// Products: a matrix product of views as the products that cuBLASLt is asked for, which counts by columns. It
// is asked for out' = b' a'; what is transposed in memory is read so, without a copy. No GPU is asked here.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include <varve/core/export.h>
#include <varve/cuda/space.h>

namespace varve::cuda {

// The transpose of a matrix, by columns: its memory as it lies, or that turned; and how far apart the columns
// of that memory are.
struct ProductFactor {
  bool turned;
  int64_t leading;
  friend bool operator==(const ProductFactor&, const ProductFactor&) = default;
};

// All that an algorithm is chosen by. Three of anything: of a, of b and of out.
struct ProductShape {
  DType dtype;
  bool tf32;
  int64_t m, n, k;
  ProductFactor a, b;
  int64_t out_leading;
  int64_t count;                   // products side by side,
  std::array<int64_t, 3> steps;    // so many elements apart
  std::array<int64_t, 3> aligned;  // all their matrices, to so many bytes
  friend bool operator==(const ProductShape&, const ProductShape&) = default;

  // More is not told apart, for no algorithm needs it; whatever is allocated or laid out by a plan has as
  // much, so only views that begin in between may get another algorithm.
  static constexpr int64_t kMostAligned = 16;
};
struct VARVE_API ProductHash {
  size_t operator()(const ProductShape& shape) const;
};

struct Product {
  ProductShape shape;
  std::array<std::byte*, 3> at;
  bool adds;  // to what the terms before these gave
};

class VARVE_API Products {
 public:
  // It counts in 32 bits, and a grid has no more layers.
  static constexpr int64_t kMostLines = int64_t{1} << 30, kMostCount = 65535;
  // out = a b as Backend::matmul takes them, none of them empty.
  Products(const View& a, const View& b, const View& out, bool tf32, int64_t most_lines = kMostLines,
           int64_t most_count = kMostCount);
  // f(Product) for each, in order.
  template <class F>
  void each(F&& f) const {
    for (int64_t batch = 0, count = 0; batch < batches_.total; batch += count) {
      count = count_from(batch);
      for (int64_t i = 0; i < m_; i += most_lines_)
        for (int64_t j = 0; j < n_; j += most_lines_)
          for (int64_t p = 0; p < k_; p += most_lines_) f(part(batch, count, i, j, p));
    }
  }

 private:
  struct Matrix {
    int64_t rows, columns;  // strides
  };
  void fold_batch();
  int64_t count_from(int64_t batch) const;
  Product part(int64_t batch, int64_t count, int64_t i, int64_t j, int64_t p) const;

  DType dtype_;
  bool tf32_;
  int64_t m_, n_, k_, most_lines_, most_count_;
  Matrix a_, b_;
  Space batches_;  // of the matrices' first elements
};

}  // namespace varve::cuda
