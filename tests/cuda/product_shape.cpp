// What cuBLASLt is asked for, computed here by columns in plain loops: it must be the product of the views.
// No GPU is asked.
#include <varve/cuda/product_shape.h>

#include <doctest/doctest.h>

#include <set>

#include <varve/varve.h>
#include "tests/core/draws.h"

using namespace varve;
using namespace varve::test;
using cuda::Product;
using cuda::Products;
using cuda::ProductShape;

namespace {

// out' (+)= b' a' of f64, as the library does it, and what it requires.
void multiply_by_columns(const Product& p) {
  const ProductShape& s = p.shape;
  REQUIRE(s.b.leading >= (s.b.turned ? s.k : s.n));
  REQUIRE(s.a.leading >= (s.a.turned ? s.m : s.k));
  REQUIRE(s.out_leading >= s.n);
  REQUIRE((s.steps[0] >= 0 && s.steps[1] >= 0 && s.steps[2] >= 0));
  const auto at = [&](size_t x, int64_t layer) {
    double* data = reinterpret_cast<double*>(p.at[x]) + layer * s.steps[x];
    REQUIRE(reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(s.aligned[x]) == 0);
    return data;
  };
  for (int64_t layer = 0; layer < s.count; ++layer) {
    const double *a = at(0, layer), *b = at(1, layer);
    double* out = at(2, layer);
    for (int64_t column = 0; column < s.m; ++column)
      for (int64_t row = 0; row < s.n; ++row) {
        double sum = p.adds ? out[row + column * s.out_leading] : 0;
        for (int64_t t = 0; t < s.k; ++t)
          sum += b[s.b.turned ? t + row * s.b.leading : row + t * s.b.leading] *
                 a[s.a.turned ? column + t * s.a.leading : t + column * s.a.leading];
        out[row + column * s.out_leading] = sum;
      }
  }
}

// Whole numbers [batch..., rows, columns], so that sums are exact: lying so in four ways.
Tensor matrix(Draws& draws, const Dims& batch, int64_t rows, int64_t columns, int kind) {
  Shape shape = batch;
  const bool turned = kind & 1, gaps = kind & 2;
  const int64_t more = gaps ? 3 : 0;
  shape.push_back((turned ? columns : rows) + more), shape.push_back((turned ? rows : columns) + more);
  const Tensor t = cast(draws.numbers(shape, DType::i64, {-9, 9}), DType::f64);
  const int64_t h = t.size(-2) - more, w = t.size(-1) - more;
  const Tensor inside = slice(slice(t, -2, gaps, h + gaps), -1, 2 * gaps, w + 2 * gaps);
  return turned ? transpose(inside, -1, -2) : inside;
}

struct Asked {
  int64_t products = 0;
  std::vector<ProductShape> shapes;
};
Asked check(const Tensor& a, const Tensor& b, int64_t most_lines = Products::kMostLines,
            int64_t most_count = Products::kMostCount) {
  const Tensor expected = matmul(a, b), out = full(expected.shape(), 1e9, DType::f64);
  const auto over_batch = [&](const Tensor& t) {
    Shape shape = expected.shape();
    shape[shape.rank() - 2] = t.size(-2), shape[shape.rank() - 1] = t.size(-1);
    return expand(t, shape);
  };
  Asked asked;
  Products(over_batch(a).view(), over_batch(b).view(), out.view(), true, most_lines, most_count)
      .each([&](const Product& p) {
        multiply_by_columns(p);
        asked.products += p.shape.count;
        asked.shapes.push_back(p.shape);
      });
  CHECK(identical(out, expected));
  return asked;
}

}  // namespace

TEST_CASE("what is asked for by columns is the product, however the factors lie and the batch is broadcast") {
  Draws draws(4);
  for (const int64_t m : {1, 2, 5})
    for (const int64_t k : {1, 4, 7})
      for (const int64_t n : {1, 3, 6})
        for (int kind = 0; kind < 16; ++kind)
          for (const auto& [left, right] : {std::pair<Dims, Dims>{{}, {}},
                                            {{3}, {3}},
                                            {{3}, {}},
                                            {{}, {3}},
                                            {{2, 3}, {}},
                                            {{2, 1}, {3}},
                                            {{4, 1, 2}, {3, 1}}}) {
            CAPTURE(m);
            CAPTURE(k);
            CAPTURE(n);
            CAPTURE(kind);
            const Tensor a = matrix(draws, left, m, k, kind & 3), b = matrix(draws, right, k, n, kind >> 2);
            check(a, b);
            for (const auto& [lines, count] : {std::pair<int64_t, int64_t>{3, 2}, {2, 1}, {4, 65535}})
              check(a, b, lines, count);
            if (left.rank() == 1) check(flip(a, 0), b);
            if (right.rank() == 0 && left.rank() == 2) check(transpose(a, 0, 1), b);
          }
}

TEST_CASE("many products are asked for as one where they lie evenly, and as one of all rows where b is one") {
  Draws draws(5);
  const Tensor a = matrix(draws, {6}, 4, 5, 0), one = matrix(draws, {}, 5, 3, 0);
  const auto sizes = [](const Asked& asked) {
    std::vector<std::array<int64_t, 2>> all;
    for (const ProductShape& s : asked.shapes) all.push_back({s.m, s.count});
    return all;
  };
  using Sizes = std::vector<std::array<int64_t, 2>>;
  CHECK(sizes(check(a, matrix(draws, {6}, 5, 3, 1))) == Sizes{{4, 6}});
  CHECK(sizes(check(a, one)) == Sizes{{24, 1}});
  CHECK(sizes(check(matrix(draws, {2, 3}, 4, 5, 0), one)) == Sizes{{24, 1}});
  CHECK(sizes(check(matrix(draws, {6}, 4, 5, 2), one)) == Sizes{{4, 6}});  // gaps after each
  CHECK(sizes(check(matrix(draws, {6}, 1, 5, 2), one)) == Sizes{{6, 1}});
  CHECK(sizes(check(expand(a, {6, 4, 5}), expand(one, {6, 5, 3}))) == Sizes{{24, 1}});
  CHECK(sizes(check(matrix(draws, {}, 4, 5, 0), matrix(draws, {6}, 5, 3, 0))) == Sizes{{4, 6}});
  CHECK(sizes(check(flip(a, 0), matrix(draws, {6}, 5, 3, 0))) == Sizes(6, {4, 1}));
  CHECK(sizes(check(a, matrix(draws, {6}, 5, 3, 0), 3, 4)) ==
        Sizes{{3, 4}, {3, 4}, {1, 4}, {1, 4}, {3, 2}, {3, 2}, {1, 2}, {1, 2}});
}

TEST_CASE("alignment is told up to 16 bytes, of all matrices of a product") {
  const auto aligned = [](const Tensor& a, const Tensor& b) {
    const Tensor out = zeros({a.size(0), a.size(1), b.size(2)}, a.dtype());
    std::vector<std::array<int64_t, 3>> all;
    Products(a.view(), b.view(), out.view(), false).each([&](const Product& p) {
      all.push_back(p.shape.aligned);
    });
    return all;
  };
  using All = std::vector<std::array<int64_t, 3>>;
  const Tensor room = zeros({4000}, DType::f32);
  REQUIRE(reinterpret_cast<uintptr_t>(room.view().data) % 64 == 0);
  const auto at = [&](int64_t first, const Dims& shape) {
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    return reshape(slice(room, 0, first, first + count), shape);
  };
  // The outputs have 512 bytes or more, so that they are aligned.
  CHECK(aligned(at(0, {1, 16, 8}), at(16, {1, 8, 16})) == All{{16, 16, 16}});
  CHECK(aligned(at(4, {1, 16, 8}), at(2, {1, 8, 16})) == All{{16, 8, 16}});
  CHECK(aligned(at(1, {1, 16, 8}), at(3, {1, 8, 16})) == All{{4, 4, 16}});
  CHECK(aligned(at(0, {2, 16, 3}), at(0, {2, 3, 18})) == All{{16, 8, 16}});  // the second b 216 bytes on
  CHECK(aligned(at(0, {2, 17, 3}), at(0, {2, 3, 17})) == All{{4, 4, 4}});
}

TEST_CASE("whatever tells two shapes apart makes them unequal, and their hashes") {
  const ProductShape first{DType::f32,  false, 10, 11,        12,          {false, 12},
                           {false, 11}, 11,    2,  {1, 2, 3}, {16, 16, 16}};
  std::vector<ProductShape> all(16, first);
  all[1].dtype = DType::f64, all[2].tf32 = true, all[3].m = 9, all[4].n = 9, all[5].k = 9;
  all[6].a.turned = true, all[7].a.leading = 13, all[8].b.turned = true, all[9].b.leading = 13;
  all[10].out_leading = 12, all[11].count = 3, all[12].steps[0] = 2, all[13].steps[1] = 1;
  all[14].steps[2] = 4, all[15].aligned[2] = 8;
  std::set<size_t> hashes;
  for (size_t i = 0; i < all.size(); ++i) {
    hashes.insert(cuda::ProductHash{}(all[i]));
    for (size_t j = 0; j < all.size(); ++j) CHECK((all[i] == all[j]) == (i == j));
  }
  CHECK(hashes.size() == all.size());
  ProductShape swapped = first;  // a's and b's are not taken for one another
  std::swap(swapped.a, swapped.b), std::swap(swapped.aligned[0], swapped.aligned[1]);
  CHECK(cuda::ProductHash{}(swapped) != cuda::ProductHash{}(first));
}

TEST_CASE("TF32 makes another shape of products of f32 alone") {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    const Tensor a = zeros({3, 4}, dtype), b = zeros({4, 5}, dtype), out = zeros({3, 5}, dtype);
    Products(a.view(), b.view(), out.view(), true).each([&](const Product& p) {
      CHECK(p.shape.tf32 == (dtype == DType::f32));
    });
  }
}
