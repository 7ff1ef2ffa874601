// Products of every size and layout that a way of its own may be chosen for, beside sums in f64 one by one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <varve/core/cpu/level.h>
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

using Computations = std::vector<std::function<Tensor()>>;

// Each gives the same bits on any number of threads.
void check_on_threads(const Computations& computations) {
  const int before = threads();
  set_threads(1);
  Tensors alone;
  for (const auto& compute : computations) alone.push_back(compute());
  for (const int count : {2, 3, 8, 17}) {
    set_threads(count);
    CAPTURE(count);
    for (size_t i = 0; i < alone.size(); ++i) {
      CAPTURE(i);
      CHECK(identical(alone[i], computations[i]()));
    }
  }
  set_threads(before);
}

// All axes but the last two.
Shape leading(Shape shape) {
  for (int i = 0; i < 2; ++i) shape.erase(shape.rank() - 1);
  return shape;
}

// Calls f on each instruction set whose products of T may differ from those of the others that this processor
// has.
template <class T>
void on_each_level(const auto& f) {
  const std::string before = cpu::level();
  for (const std::string& level : cpu::levels()) {
    if (level != before && (VARVE_SANITIZED || !std::is_same_v<T, BFloat16>)) continue;  // those take long
    cpu::set_level(level);
    CAPTURE(level);
    f();
  }
  cpu::set_level(before);
}

}  // namespace

TEST_CASE_TEMPLATE("products of few and of many rows, columns and terms are right, however they lie", T,
                   float, double, Half, BFloat16) {
  const Generator draws(1);
  const int64_t few[] = {1, 5, 6, 7, 17, 67};
  on_each_level<T>([&] {
    for (const int64_t m : few)
      for (const int64_t n : few)
        for (const int64_t k : {1, 15, 64, 307}) check<T>(m, n, k, draws);
    check<T>(2, 70, 12'000, draws);  // few rows, and too deep to be packed at once
    check<T>(70, 2, 12'000, draws);
    check<T>(3, 7, 40'000, draws);
    check<T>(67, 71, 3000, draws);
    check<T>(150, 530, 300, draws);  // more than one block of columns, and of terms
  });
}

TEST_CASE("products of bf16 whose sides end within a square of sums, or its terms, are right") {
  const Generator draws(4);
  const int64_t sides[] = {16, 31, 32, 33, 48};
  on_each_level<BFloat16>([&] {
    for (const int64_t m : sides)
      for (const int64_t n : sides)
        for (const int64_t k : {1, 2, 31, 32, 33}) check<BFloat16>(m, n, k, draws);
    for (const int64_t k : {511, 512, 513, 1025}) check<BFloat16>(33, 17, k, draws);
    check<BFloat16>(20, 1041, 40, draws);  // more than one block of vectors
    check<BFloat16>(1041, 20, 40, draws);
  });
}

TEST_CASE_TEMPLATE("how factors lie, and how many rows are asked for at a time, changes no bit", T, float,
                   double, Half, BFloat16) {
  const Generator draws(2);
  constexpr DType dtype = dtype_of<T>;
  const int64_t sizes[][3] = {{64, 48, 30},  {100, 530, 300}, {260, 17, 70},   {33, 200, 600},
                              {48, 40, 333}, {32, 32, 1},     {1050, 40, 513}, {31, 1050, 35}};
  on_each_level<T>([&] {
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
      for (const int64_t rows : {16, 17, 29})
        CHECK(identical(slice(y, 0, 1, 1 + rows), matmul(slice(a, 0, 1, 1 + rows), b)));
      if (n >= 33) {
        const Tensor some = contiguous(slice(b, 1, 7, 31)), all = contiguous(slice(y, 1, 7, 31));
        CHECK(identical(all, matmul(a, some)));
      }
    }
  });
}

TEST_CASE("threads change no bit of a product, whatever tiles it is cut into") {
  // By work: alone, in two, one tile a thread or fewer, several a thread; few rows or columns, and none few.
  const int64_t sizes[][3] = {{20, 30, 50},    {64, 10, 256},     {64, 256, 784},  {784, 256, 64},
                              {47, 700, 300},  {65, 100, 784},    {16, 520, 300},  {1, 3000, 700},
                              {3000, 1, 700},  {7, 2000, 900},    {2000, 9, 900},  {33, 1500, 1500},
                              {257, 561, 210}, {129, 1500, 1500}, {131, 700, 3000}};
  Computations products, of_bf16;
  const Generator draws(3);
  for (const auto& size : sizes)
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16})
      for (const int turned : {0, 1, 2, 3}) {
        const int64_t m = size[0], n = size[1], k = size[2];
        const bool turn_a = turned % 2 == 1, turn_b = turned / 2 == 1;
        const bool usual = turned == 2 && (dtype == DType::f32 || dtype == DType::bf16);
        if (m * n * k > (VARVE_SANITIZED ? 2'000'000 : 20'000'000) && !usual) continue;  // they take long
        const Tensor a = randn(turn_a ? Shape{k, m} : Shape{m, k}, dtype, draws);
        const Tensor b = randn(turn_b ? Shape{n, k} : Shape{k, n}, dtype, draws);
        (dtype == DType::bf16 ? of_bf16 : products).push_back([=] { return matmul(a, b, turn_a, turn_b); });
      }
  check_on_threads(products);
  on_each_level<BFloat16>([&] { check_on_threads(of_bf16); });
}

TEST_CASE("a batch has the bits of its products one by one, on any number of threads") {
  const Generator draws(4);
  struct Case {
    Shape a, b;
  };
  const Case cases[] = {
      {{2, 4, 4}, {2, 4, 4}},         {{3000, 4, 4}, {3000, 4, 4}},    {{1000, 8, 8}, {1000, 8, 8}},
      {{301, 9, 31}, {301, 31, 17}},  {{64, 64, 64}, {64, 64, 64}},    {{5, 130, 90}, {5, 90, 70}},
      {{3, 256, 256}, {3, 256, 256}}, {{7, 1, 20, 30}, {5, 30, 40}},   {{41, 20, 30}, {30, 40}},
      {{20, 30}, {41, 30, 40}},       {{6, 1, 1, 8, 9}, {3, 50, 9, 5}}};
  Computations products;
  for (const Case& c : cases)
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16})
      for (const int turned : {0, 1, 2, 3}) {
        CAPTURE(to_string(c.a));
        CAPTURE(turned);
        const bool turn_a = turned % 2 == 1, turn_b = turned / 2 == 1;
        const Tensor plain_a = randn(c.a, dtype, draws), plain_b = randn(c.b, dtype, draws);
        const Tensor a = turn_a ? contiguous(transpose(plain_a)) : plain_a;
        const Tensor b = turn_b ? contiguous(transpose(plain_b)) : plain_b;
        const auto product = [=] { return matmul(a, b, turn_a, turn_b); };
        products.push_back(product);
        const Tensor y = flatten(product(), 0, -3);
        const auto each = [&](const Tensor& x) {
          Shape batch = broadcast(leading(c.a), leading(c.b), "test");
          batch.push_back(x.size(-2)), batch.push_back(x.size(-1));
          return flatten(expand(x, batch), 0, -3);
        };
        const Tensor all_a = each(a), all_b = each(b);
        int64_t different = 0;
        for (int64_t i = 0; i < y.size(0); i += 1 + i / 50)
          different += !identical(y[i], matmul(all_a[i], all_b[i], turn_a, turn_b));
        CHECK(different == 0);
      }
  const Tensor heads = permute(randn({3, 70, 4, 32}, DType::f32, draws), {0, 2, 1, 3});  // as attention's lie
  products.push_back([=] { return matmul(heads, heads, false, true); });
  check_on_threads(products);
}

TEST_CASE("batches of nothing, of no terms and of no rows") {
  const int before = threads();
  for (const int count : {1, 3}) {
    set_threads(count);
    CHECK(matmul(ones({0, 4, 5}), ones({0, 5, 6})).shape() == Shape{0, 4, 6});
    CHECK(matmul(ones({3, 0, 5}), ones({5, 6})).shape() == Shape{3, 0, 6});
    for (const DType dtype : {DType::f32, DType::f16})
      CHECK(identical(matmul(ones({300, 7, 0}, dtype), ones({300, 0, 9}, dtype)), zeros({300, 7, 9}, dtype)));
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
