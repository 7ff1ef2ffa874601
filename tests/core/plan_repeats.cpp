// What a plan takes for granted of host code: two recorded runs must agree, and host state that is minded is.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <utility>

#include <varve/core/inference.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/plan.h>

#include "tests/same_bits.h"

using namespace varve;
using varve::test::same_bits;

namespace {

// The second call of a compiled f, which gets another x of the same kind, is an error that says so.
void check_refused(const std::function<Tensor(const Tensor&)>& f, const char* what) {
  CAPTURE(what);
  auto fast = compile([&](const Tensor& x) { return f(x); });
  fast(ones({2, 2}));
  CHECK_THROWS_WITH_AS(fast(full({2, 2}, 2)),
                       doctest::Contains(("two runs of the function differ: " + std::string(what)).c_str()),
                       Error);
}

}  // namespace

TEST_CASE("host code that does something else in its second run is an error, not a wrong answer") {
  int runs = 0;
  check_refused([&](const Tensor& x) { return runs++ == 0 ? x * 2.0 : exp(x); },
                "call 0 was full(shape=[], value=2, dtype=f32) of nothing, then exp() of %0");
  double rate = 1;
  check_refused([&](const Tensor& x) { return x * (rate *= 0.5); }, "call 0 was full(shape=[], value=0.5");
  runs = 0;
  check_refused(
      [&](const Tensor& x) {
        Tensor y = x + x;
        for (int i = 0; i < runs; ++i) y = y * y;
        return ++runs, y;
      },
      "call 1 was nothing more, then mul()");
  runs = 0;
  check_refused(
      [&](const Tensor& x) {
        const Tensor y = exp(x), z = neg(x);
        return runs++ == 0 ? y : z;
      },
      "other values were returned");
  runs = 0;
  check_refused(
      [&](const Tensor& x) { return matmul(x, x, runs++ == 1); },
      "call 0 was matmul(transpose_a=false, transpose_b=false) of %0, %0, then matmul(transpose_a=true");
}

TEST_CASE("a captured tensor may be made anew in each run if its elements are the same, and stay so") {
  float bits = 1;
  check_refused(
      [&](const Tensor& x) {
        return x * tensor({bits++, 0.f});
      },
      "each used another tensor for f32[2], and its elements differ");
  Tensor weight = ones({2, 2});
  weight.set_label("weight");
  check_refused([&](const Tensor& x) { return x + std::exchange(weight, weight * 2.0); },
                "each used another tensor for f32[2, 2] weight, and its elements differ");
  check_refused(
      [](const Tensor& x) {
        const Tensor count = tensor({0.f});
        count.assign(count + 1.0);
        return x + count;
      },
      "each used another tensor for f32[1], and it is written");
  const Tensor buffers[] = {zeros({2}), zeros({2})};  // alike as yet
  int turn = 0;
  check_refused([&](const Tensor& x) { return x + buffers[turn++ % 2]; },
                "each used another tensor for f32[2], and somebody else holds it");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  auto fine = compile([&](const Tensor& x) { return x * tensor({2.f, nan}) + full({2}, nan); });
  for (int i = 0; i < 4; ++i) CHECK(same_bits(fine(ones({2})), full({2}, nan)));
}

TEST_CASE("gradients of other leaves in the second run are refused, too") {
  Tensor leaves[] = {ones({2, 2}), ones({2, 2})};
  for (Tensor& leaf : leaves) leaf.set_requires_grad();
  int turn = 0;
  check_refused(
      [&](const Tensor& x) {
        leaves[turn++ % 2].zero_grad();
        return x + 1.0;
      },
      "gradients of other leaves");
}

TEST_CASE("results that are held by reference are those of the call before, whichever it was") {
  auto f = compile([](const Tensor& x) { return Tensors{x + 1.0, x * 2.0}; });
  const Tensors& results = f(ones({1}));
  const Tensor first = results[0];
  for (int i = 2; i < 6; ++i) {
    f(full({1}, i));
    CHECK(results[0].item() == i + 1);
    CHECK(first.item() == 2);
  }
}

TEST_CASE("one kind of inputs that is refused is no other's concern") {
  int runs = 0;
  auto f =
      compile([&](const Tensor& x) { return x.rank() == 1 ? x * static_cast<double>(++runs) : x + 1.0; });
  f(ones({1}));
  CHECK_THROWS_AS(f(ones({1})), Error);
  for (int i = 0; i < 4; ++i) CHECK(f(ones({1, 1})).item() == 2);
  CHECK_THROWS_AS(f(ones({1})), Error);
}

TEST_CASE("a function for inference is run twice, too") {
  double rate = 1;
  const auto drifts = [&](const Tensor& x) { return x * (rate *= 0.5); };
  CHECK_THROWS_WITH_AS((Inference{drifts, {ones({2})}}), doctest::Contains("two runs"), Error);
}

TEST_CASE("a hook that comes after the trace is called") {
  Tensor w = ones({2});
  w.set_requires_grad();
  auto step = compile([&](const Tensor& x) {
    w.zero_grad();
    sum(w * x).backward();
  });
  const Tensor x = full({2}, 3);
  for (int i = 0; i < 3; ++i) step(x);
  w.on_grad([](const Tensor& g) { return g * 100.0; });
  for (int i = 0; i < 3; ++i) {
    step(x);
    CHECK(same_bits(w.grad(), x * 100.0));
  }
}
