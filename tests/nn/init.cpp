// Initialisers: their bounds, and what they refuse.
#include <varve/nn/init.h>

#include <doctest/doctest.h>

#include <cmath>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>

using namespace varve;

namespace {

void check_bound(const Tensor& t, double bound) {
  CHECK(t.requires_grad());
  CHECK(t.is_leaf());
  const double largest = max(abs(t.detach())).item();
  CHECK(largest <= bound);
  CHECK(largest > 0.98 * bound);
}

}  // namespace

TEST_CASE("initialisers fill to their bounds and no further") {
  check_bound(nn::uniform_parameter({40, 50}, 0.25), 0.25);
  check_bound(nn::kaiming_uniform({40, 50}), std::sqrt(2.0) * std::sqrt(3.0 / 50));
  check_bound(nn::kaiming_uniform({40, 10, 3, 3}, 1, DType::f64), std::sqrt(3.0 / 90));
  check_bound(nn::xavier_uniform({40, 60}, 2), 2 * std::sqrt(6.0 / 100));
  check_bound(nn::xavier_uniform({40, 10, 3, 3}), std::sqrt(6.0 / (90 + 360)));
}

TEST_CASE("initialisers that need a fan refuse shapes without one") {
  CHECK_THROWS_AS(nn::kaiming_uniform({5}), ShapeError);
  CHECK_THROWS_AS(nn::kaiming_uniform({5, 0}), ShapeError);
  CHECK_THROWS_AS(nn::xavier_uniform({5, 0}), ShapeError);
  CHECK_THROWS_AS(nn::xavier_uniform({5, 3}, -1), Error);
  CHECK_THROWS_AS(nn::xavier_uniform({}), ShapeError);
}
