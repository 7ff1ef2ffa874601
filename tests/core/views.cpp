// Views: which reshapes copy, what views share, and the shapes that are refused.
#include <doctest/doctest.h>

#include <random>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>

using namespace varve;

namespace {
bool shares(const Tensor& a, const Tensor& b) { return a.value().storage == b.value().storage; }
std::vector<int64_t> values(const Tensor& t) {
  const Tensor plain = contiguous(t);
  return {plain.data<int64_t>().begin(), plain.data<int64_t>().end()};
}
}  // namespace

TEST_CASE("views share memory, and a reshape that strides cannot say copies") {
  const Tensor x = reshape(arange(24), {2, 3, 4});
  CHECK(shares(x, permute(x, {2, 0, 1})));
  CHECK(shares(x, slice(x, 1, 0, 2)));
  CHECK(shares(x, flip(x, 0)));
  CHECK(shares(x, expand(x, {5, 2, 3, 4})));
  CHECK(shares(x, reshape(x, {6, 4})));
  CHECK(shares(x, flatten(x, 0, 1)));
  CHECK(shares(x, reshape(slice(x, 2, 0, 2), {6, 2})));  // gaps stay within rows
  CHECK(shares(x, reshape(transpose(x, 0, 1), {3, 2, 2, 2})));
  CHECK_FALSE(shares(x, reshape(transpose(x), {2, 12})));
  CHECK_FALSE(shares(x, flatten(slice(x, 2, 0, 2))));
  CHECK(values(flatten(slice(x, 2, 0, 2))) == std::vector<int64_t>{0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21});
}

TEST_CASE("any chain of views and reshapes has the elements that copying at each step would give") {
  std::mt19937 engine(1);
  const auto below = [&](int n) { return static_cast<int>(engine() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 500; ++round) {
    Tensor view = reshape(arange(48), {2, 3, 4, 2}), copied = clone(view);
    for (int step = 0; step < 5; ++step) {
      const int axis = view.rank() ? below(view.rank()) : 0;
      const int kind = view.rank() ? below(6) : 5;
      const auto apply = [&](const auto& f) { view = f(view), copied = clone(f(copied)); };
      if (kind == 0) apply([&](const Tensor& t) { return transpose(t, axis, 0); });
      if (kind == 1) apply([&](const Tensor& t) { return flip(t, axis); });
      if (kind == 2) apply([&](const Tensor& t) { return slice(t, axis, 0, 100, 2); });
      if (kind == 3) apply([&](const Tensor& t) { return slice(t, axis, -2); });
      if (kind == 4) apply([&](const Tensor& t) { return flatten(t, 0, axis); });
      if (kind == 5) {
        const int64_t n = view.numel();
        const int64_t front = n % 6 == 0 ? 6 : n % 4 == 0 ? 4 : 1;
        apply([&](const Tensor& t) { return reshape(t, {front, -1, 1}); });
      }
      REQUIRE(view.shape() == copied.shape());
      REQUIRE(values(view) == values(copied));
    }
  }
}

TEST_CASE("views of nothing are nothing, and keep their shape") {
  const Tensor x = zeros({2, 0, 3}, DType::i64);
  CHECK(reshape(x, {0}).shape() == Shape{0});
  CHECK(reshape(x, {3, 0, 7}).shape() == Shape{3, 0, 7});
  CHECK(permute(x, {1, 2, 0}).shape() == Shape{0, 3, 2});
  CHECK(slice(x, 1, 0).shape() == Shape{2, 0, 3});
  CHECK(flip(x, 1).shape() == Shape{2, 0, 3});
  CHECK(flatten(transpose(x, 0, 2)).numel() == 0);
  CHECK(cat({x, x}, 1).shape() == Shape{2, 0, 3});
}

TEST_CASE("split, stack, select and transpose are what their names say") {
  const Tensor x = reshape(arange(10), {5, 2});
  const Tensors pieces = split(x, 2);
  CHECK(pieces.size() == 3);
  CHECK(pieces[2].shape() == Shape{1, 2});
  CHECK(values(cat(pieces)) == values(x));
  CHECK(stack({x, x}, -1).shape() == Shape{5, 2, 2});
  CHECK(values(stack({arange(2), arange(2)}, 1)) == std::vector<int64_t>{0, 0, 1, 1});
  CHECK(values(select(x, 1, -1)) == std::vector<int64_t>{1, 3, 5, 7, 9});
  CHECK(values(transpose(x)) == std::vector<int64_t>{0, 2, 4, 6, 8, 1, 3, 5, 7, 9});
  CHECK_THROWS_AS(split(x, 0), ShapeError);
  CHECK_THROWS_AS(stack({}, 0), ShapeError);
}

TEST_CASE("shapes that do not fit are refused, and the message says which") {
  const Tensor x = reshape(arange(6), {2, 3});
  CHECK_THROWS_WITH_AS(reshape(x, {4, 2}), "reshape: cannot show [2, 3] (6 elements) as [4, 2]", ShapeError);
  CHECK_THROWS_AS(reshape(x, {-1, -1}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {-1, 4}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {-2, 3}), ShapeError);
  CHECK_THROWS_AS(reshape(zeros({0}), {-1, 0}), ShapeError);
  CHECK_THROWS_AS(permute(x, {0}), ShapeError);
  CHECK_THROWS_AS(permute(x, {0, 0}), ShapeError);
  CHECK_THROWS_AS(permute(x, {0, 2}), ShapeError);
  CHECK_THROWS_AS(squeeze(x, 0), ShapeError);
  CHECK_THROWS_AS(expand(x, {3}), ShapeError);
  CHECK_THROWS_AS(expand(x, {4, 3}), ShapeError);
  CHECK_THROWS_AS(slice(x, 2, 0), ShapeError);
  CHECK_THROWS_AS(slice(x, 0, 0, 2, 0), ShapeError);
  CHECK_THROWS_AS(flatten(x, 1, 0), ShapeError);
  CHECK_THROWS_AS(flip(full({}, 0), 0), ShapeError);
  CHECK_THROWS_AS(cat({x, ones({2, 2}, DType::i64)}, 0), ShapeError);
  CHECK_THROWS_AS(cat({x, ones({2, 3})}, 0), DTypeError);
  CHECK_THROWS_AS(cat({}, 0), ShapeError);
  const Tensor vast = expand(zeros({1}, DType::u8), {int64_t{1} << 58});
  CHECK_THROWS_AS(cat(Tensors(64, vast)), ShapeError);  // 2^64 elements
  CHECK_THROWS_AS(cat({vast, vast}), ShapeError);
  CHECK_THROWS_AS(expand(zeros({1, 1}, DType::u8), {int64_t{1} << 40, int64_t{1} << 40}), ShapeError);
  CHECK(split(zeros({0, 3}), 2).size() == 1);
  CHECK(cat(split(zeros({0, 3}), 2)).shape() == Shape{0, 3});
  CHECK_THROWS_AS(pad(x, 0, -1, 0), ShapeError);
}

TEST_CASE("a shape has at most eight axes, and its elements are counted without overflow") {
  Tensor x = ones({1, 1, 1, 1, 1, 1, 1, 1});
  CHECK_THROWS_AS(unsqueeze(x, 0), ShapeError);
  CHECK_THROWS_AS(zeros({int64_t{1} << 32, int64_t{1} << 32}), ShapeError);
  CHECK_THROWS_AS(zeros({-1}), ShapeError);
  CHECK_THROWS_AS(reshape(ones({2}), {int64_t{1} << 62, 8}), ShapeError);
  CHECK_THROWS_AS(pad(ones({2}), 0, INT64_MAX, INT64_MAX), ShapeError);
}

TEST_CASE("a slice with a step beyond the axis has one element") {
  const Tensor x = reshape(arange(6), {2, 3});
  CHECK(values(slice(x, 0, 0, INT64_MAX, INT64_MAX)) == std::vector<int64_t>{0, 1, 2});
  CHECK(values(slice(x, 1, INT64_MIN, INT64_MAX, 2)) == std::vector<int64_t>{0, 2, 3, 5});
}
