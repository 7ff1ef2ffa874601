// Gradient clipping against PyTorch, and inside compiled functions.
#include <varve/optim/clip.h>

#include <doctest/doctest.h>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/plan.h>

#include "tests/fixture.h"

using namespace varve;

TEST_CASE("clip_grad_norm scales gradients and returns the norm as PyTorch does") {
  const test::Fixture fixture("clipping");
  for (const DType dtype : {DType::f32, DType::f64})
    for (const auto& [name, max_norm] : {std::pair{"clipped", 0.5}, {"untouched", 1e3}}) {
      const std::string at = std::string(name_of(dtype)) + "." + name + ".";
      CAPTURE(at);
      Tensor a = clone(fixture[at + "a"]), b = clone(fixture[at + "b"]), idle = zeros({2}, dtype);
      for (Tensor* t : {&a, &b, &idle}) t->set_requires_grad();
      (sum(a * a) + sum(b * b * b)).backward();
      const Tensor norm = optim::clip_grad_norm({a, idle, b}, max_norm);
      CHECK(test::distance(norm, fixture[at + "norm"]) <= test::tolerance(dtype));
      CHECK(test::distance(a.grad(), fixture[at + "da"]) <= test::tolerance(dtype));
      CHECK(test::distance(b.grad(), fixture[at + "db"]) <= test::tolerance(dtype));
      CHECK_FALSE(idle.grad().defined());
    }
}

TEST_CASE("a compiled function clips as the plain one") {
  Tensor w = tensor({1.f, -2.f, 3.f});
  w.set_requires_grad();
  const auto clipped = [&](const Tensor& x) -> Tensors {
    w.zero_grad();
    sum(w * x * x).backward();
    const Tensor norm = optim::clip_grad_norm({w}, 2);
    return {norm, w.grad()};
  };
  auto compiled = compile(clipped);
  for (const float scale : {0.1f, 1.f, 10.f}) {
    const Tensor x = tensor({scale, 2 * scale, -scale});
    const Tensors plain = clipped(x), replayed = compiled(x);
    CHECK(test::identical(plain[0], replayed[0]));
    CHECK(test::identical(plain[1], replayed[1]));
  }
  CHECK(compiled.plans().size() == 1);
}

TEST_CASE("clip_grad_norm refuses a bound below zero and parameters without gradients") {
  Tensor w = zeros({3});
  w.set_requires_grad();
  CHECK_THROWS_AS(optim::clip_grad_norm({w}, 1), Error);
  w.set_grad(ones({3}));
  CHECK_THROWS_AS(optim::clip_grad_norm({w}, -1), Error);
  CHECK_THROWS_AS(optim::clip_grad_norm({w}, std::nan("")), Error);
  CHECK(optim::clip_grad_norm({w}, 0).item() == doctest::Approx(std::sqrt(3.0)));
  CHECK(test::identical(w.grad(), zeros({3})));
}
