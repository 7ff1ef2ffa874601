// Linear against PyTorch, how it starts, and what it refuses.
#include <varve/nn/linear.h>

#include <doctest/doctest.h>

#include <varve/core/ops/reduce.h>
#include <varve/core/random.h>

#include "tests/fixture.h"

using namespace varve;

TEST_CASE("linear and its gradients are PyTorch's") {
  const test::Fixture fixture("linear");
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::string at = std::string(name_of(dtype)) + ".";
    const nn::Linear layer(5, 4, true, dtype);
    load_state_dict(layer, {{"weight", fixture[at + "weight"]}, {"bias", fixture[at + "bias"]}});
    Tensor x = clone(fixture[at + "x"]);
    const Tensor y = layer(x.set_requires_grad());
    y.backward(fixture[at + "dy"]);
    CHECK(test::distance(y, fixture[at + "y"]) <= test::tolerance(dtype));
    CHECK(test::distance(x.grad(), fixture[at + "dx"]) <= test::tolerance(dtype));
    CHECK(test::distance(layer.weight.grad(), fixture[at + "dweight"]) <= test::tolerance(dtype));
    CHECK(test::distance(layer.bias->grad(), fixture[at + "dbias"]) <= test::tolerance(dtype));
  }
}

TEST_CASE("linear starts uniform within 1 over the root of its inputs, from this thread's generator") {
  manual_seed(3);
  const nn::Linear first(100, 400);
  manual_seed(3);
  const nn::Linear again(100, 400);
  const nn::Linear other(100, 400);
  CHECK(test::identical(first.weight, again.weight));
  CHECK(test::identical(*first.bias, *again.bias));
  CHECK_FALSE(test::identical(first.weight, other.weight));

  const double bound = 0.1;
  CHECK(max(first.weight).item() < bound);
  CHECK(max(first.weight).item() > 0.99 * bound);
  CHECK(min(first.weight).item() >= -bound);
  CHECK(min(first.weight).item() < -0.99 * bound);
  CHECK(std::abs(mean(first.weight).item()) < 0.01 * bound);
  CHECK(var(first.weight).item() == doctest::Approx(bound * bound / 3).epsilon(0.02));
  CHECK(max(*first.bias).item() > 0.9 * bound);
  CHECK(min(*first.bias).item() < -0.9 * bound);
}

TEST_CASE("linear without bias has one parameter and maps zero to zero") {
  const nn::Linear layer(3, 2, false);
  CHECK(named_parameters(layer).size() == 1);
  CHECK(test::identical(layer(zeros({4, 3})), zeros({4, 2})));
}

TEST_CASE("linear takes any leading axes") {
  const nn::Linear layer(3, 2);
  CHECK(layer(ones({3})).shape() == Shape{2});
  CHECK(layer(ones({5, 3})).shape() == Shape{5, 2});
  CHECK(layer(ones({4, 5, 3})).shape() == Shape{4, 5, 2});
  CHECK(layer(ones({0, 3})).shape() == Shape{0, 2});
}

TEST_CASE("linear names its weight when the input does not fit") {
  const nn::Linear layer(784, 256);
  layer.weight.set_label("ln1.weight");
  CHECK_THROWS_WITH_AS(layer(ones({64, 10})),
                       "linear: input [64, 10] with 'ln1.weight' [256, 784]; required is a last axis of 784",
                       ShapeError);
  CHECK_THROWS_AS(layer(ones({})), ShapeError);
  CHECK_THROWS_AS(nn::Linear(0, 3), ShapeError);
  CHECK_THROWS_AS(nn::Linear(3, -1), ShapeError);
}
