// Products of every size and layout that a way of its own may be chosen for, beside sums in f64 one by one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include <varve/core/cpu/threads.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/views.h>
#include "tests/core/parity.h"

using namespace varve;

namespace {

// How many elements are not what some sum rounds to that is as near the exact one as k products and sums in
// T, or in f32, may come.
template <class T>
int64_t wrong_elements(const Tensor& a, const Tensor& b, const Tensor& c) {
  const Tensor wide_a = contiguous(cast(a, DType::f64)), wide_b = contiguous(cast(b, DType::f64));
  const auto x = wide_a.data<double>(), y = wide_b.data<double>();
  const auto found = c.data<T>();
  const auto m = static_cast<size_t>(a.size(0)), k = static_cast<size_t>(a.size(1)),
             n = static_cast<size_t>(b.size(1));
  constexpr double kUnit = std::is_same_v<T, double> ? 0x1p-52 : 0x1p-23;
  int64_t wrong = 0;
  for (size_t i = 0; i < m; ++i)
    for (size_t j = 0; j < n; ++j) {
      double sum = 0, size = 0;
      for (size_t p = 0; p < k; ++p) {
        sum += x[i * k + p] * y[p * n + j];
        size += std::abs(x[i * k + p] * y[p * n + j]);
      }
      const double bound = 2 * size * kUnit * std::sqrt(static_cast<double>(k) + 1);
      const T low(sum - bound), high(sum + bound), at = found[i * n + j];
      wrong += !(low <= at && at <= high);
    }
  return wrong;
}

template <class T>
void check(int64_t m, int64_t n, int64_t k, const Generator& draws) {
  constexpr DType dtype = dtype_of<T>;
  for (const bool turn_a : {false, true})
    for (const bool turn_b : {false, true}) {
      CAPTURE(m);
      CAPTURE(n);
      CAPTURE(k);
      CAPTURE(turn_a);
      CAPTURE(turn_b);
      const Tensor a = turn_a ? transpose(randn({k, m}, dtype, draws), 0, 1) : randn({m, k}, dtype, draws);
      const Tensor b = turn_b ? transpose(randn({n, k}, dtype, draws), 0, 1) : randn({k, n}, dtype, draws);
      CHECK(wrong_elements<T>(a, b, matmul(a, b)) == 0);
    }
}

}  // namespace

TEST_CASE_TEMPLATE("products of few and of many rows, columns and terms are right, however they lie", T,
                   float, double, Half, BFloat16) {
  const Generator draws(1);
  const int64_t few[] = {1, 5, 6, 7, 17, 67};
  for (const int64_t m : few)
    for (const int64_t n : few)
      for (const int64_t k : {1, 15, 64, 307}) check<T>(m, n, k, draws);
  check<T>(2, 70, 12'000, draws);  // few rows, and too deep to be packed at once
  check<T>(70, 2, 12'000, draws);
  check<T>(3, 7, 40'000, draws);
  check<T>(67, 71, 3000, draws);
  check<T>(150, 530, 300, draws);  // more than one block of columns, and of terms
}

TEST_CASE_TEMPLATE("how factors lie, and how many rows are asked for at a time, changes no bit", T, float,
                   double, Half, BFloat16) {
  const Generator draws(2);
  constexpr DType dtype = dtype_of<T>;
  const int64_t sizes[][3] = {{64, 48, 30}, {100, 530, 300}, {260, 17, 70}, {33, 200, 600}, {48, 40, 333}};
  for (const auto& size : sizes) {
    const int64_t m = size[0], n = size[1], k = size[2];
    CAPTURE(m);
    const Tensor a = randn({m, k}, dtype, draws), b = randn({k, n}, dtype, draws), y = matmul(a, b);
    const Tensor turned_a = contiguous(transpose(a, 0, 1)), turned_b = contiguous(transpose(b, 0, 1));
    CHECK(identical(y, matmul(turned_a, b, true, false)));
    CHECK(identical(y, matmul(a, turned_b, false, true)));
    CHECK(identical(y, matmul(turned_a, turned_b, true, true)));
    const auto among_nans = [](const Tensor& x) {
      return slice(pad(x, 1, 1, 2, std::nan("")), 1, 1, 1 + x.size(1));
    };
    CHECK(identical(y, matmul(among_nans(a), among_nans(b))));
    CHECK(identical(y, matmul(among_nans(turned_a), among_nans(turned_b), true, true)));
    for (const int64_t rows : {16, 17, 31})
      CHECK(identical(slice(y, 0, 1, 1 + rows), matmul(slice(a, 0, 1, 1 + rows), b)));
  }
}

TEST_CASE("threads change no bit of a product, whatever tiles it is cut into") {
  const Generator draws(3);
  const int before = threads();
  const int64_t sizes[][3] = {{129, 1500, 1500}, {131, 700, 3000}, {257, 561, 2100}, {33, 1500, 1500}};
  for (const auto& size : sizes) {
    const int64_t m = size[0], n = size[1], k = size[2];
    CAPTURE(m);
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const Tensor a = randn({m, k}, dtype, draws), b = randn({n, k}, dtype, draws);
      set_threads(1);
      const Tensor alone = matmul(a, b, false, true);
      set_threads(3);
      CHECK(identical(alone, matmul(a, b, false, true)));
    }
  }
  set_threads(before);
}

TEST_CASE("long sums are cut into blocks, so that ones add up, whatever the rows and columns") {
  // Both sums are above 2^25, where floats lie 4 apart: one after the other, each term would lose its last
  // bit.
  const std::pair<int64_t, double> sums[] = {{1 << 20, 33}, {60 << 10, 1025}};
  for (const auto& sum : sums)
    for (const int64_t m : {1, 7})
      for (const int64_t n : {1, 16})
        for (const bool turned : {false, true}) {
          CAPTURE(sum.first);
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(turned);
          const int64_t k = sum.first;
          const Tensor b = turned ? transpose(ones({n, k}), 0, 1) : ones({k, n});
          const Tensor y = matmul(full({m, k}, sum.second), b);
          CHECK(y.data<float>()[0] == static_cast<float>(static_cast<double>(k) * sum.second));
        }
}
