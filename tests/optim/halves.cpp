// Training in f16 and bf16: masters in f32 that small steps add up in, whatever is done to the halves.
#include <doctest/doctest.h>

#include <cmath>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/record.h>
#include <varve/nn/activation.h>
#include <varve/nn/linear.h>
#include <varve/nn/loss.h>
#include <varve/nn/sequential.h>
#include <varve/optim/adam.h>
#include <varve/optim/sgd.h>

#include "tests/fixture.h"

using namespace varve;

namespace {

Tensor parameter(double value, DType dtype) {
  Tensor p = full({3}, value, dtype);
  return p.set_requires_grad();
}

// Steps whose gradient is 1 everywhere.
void step(optim::Optimizer& optimizer, const Tensor& p, int count = 1) {
  for (int i = 0; i < count; ++i) {
    p.set_grad(ones_like(p.detach()));
    optimizer.step();
  }
}

double first(const Tensor& x) { return x.detach()[0].item(); }

// The mean of the last losses of a network that learns which of two random planes' quadrants a point lies in.
double loss_after_training(DType dtype) {
  manual_seed(5);
  nn::Sequential model{nn::Linear{8, 32}, nn::GELU{}, nn::Linear{32, 4}};
  const Generator draws(6);
  const Tensor planes = randn({8, 2}, DType::f32, draws);
  to(model, dtype);
  optim::AdamW optimizer(named_parameters(model), {.lr = 3e-3});
  double total = 0;
  for (int i = 0; i < 400; ++i) {
    const Tensor x = randn({64, 8}, DType::f32, draws), side = cast(matmul(x, planes) > 0.0, DType::i64);
    const Tensor target = sum(side * tensor<int64_t>({1, 2}), {1});
    const Tensor loss = nn::cross_entropy(model(cast(x, dtype)), target);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (i >= 350) total += loss.item() / 50;
  }
  return total;
}

}  // namespace

TEST_CASE("a network of halves learns as well as one of f32") {
  const double expected = loss_after_training(DType::f32);
  CHECK(expected < 0.3);
  for (const DType dtype : {DType::bf16, DType::f16}) {
    CAPTURE(name_of(dtype));
    CHECK(std::abs(loss_after_training(dtype) / expected - 1) < 0.01);
  }
}

TEST_CASE("steps too small for a half add up in its master") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    CAPTURE(name_of(dtype));
    const Tensor p = parameter(1, dtype), small = parameter(2e-6, dtype);
    optim::Sgd sgd({{"p", p}}, {.lr = 1e-4}), tiny({{"small", small}}, {.lr = 1e-9});
    step(sgd, p, 1000), step(tiny, small, 1000);
    CHECK(first(p) == doctest::Approx(0.9).epsilon(0.003));
    CHECK(first(small) * 1e6 == doctest::Approx(1).epsilon(0.03));
    const NamedTensors state = sgd.state_dict();
    REQUIRE(state.find("master.p"));
    CHECK(state.find("master.p")->dtype() == DType::f32);
    CHECK(state.find("momentum.p")->dtype() == DType::f32);
    CHECK(test::identical(cast(*state.find("master.p"), dtype), p.detach()));
  }
  const Tensor wide = parameter(1, DType::f32);
  CHECK_FALSE(optim::Sgd({{"p", wide}}, {}).state_dict().find("master.p"));
}

TEST_CASE("a half that was written by one unit in its last place is not taken for one that was rounded") {
  const Tensor p = arange(1, 2, 1.0 / 128, DType::f32);
  const Tensor half = cast(p, DType::bf16).set_requires_grad();
  optim::Sgd sgd({{"p", half}}, {.lr = 1e-3});
  step(sgd, half);  // now masters lie between halves
  const Tensor written = cast(p + 1.0 / 128, DType::bf16);
  half.detach().assign(written);
  step(sgd, half);
  const Tensor master = *sgd.state_dict().find("master.p");
  CHECK(test::identical(master, cast(written, DType::f32) - full({}, 1e-3)));
}

TEST_CASE("a half that was written since the last step is trained from what it is") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    CAPTURE(name_of(dtype));
    const Tensor p = parameter(1, dtype);
    optim::Sgd sgd({{"p", p}}, {.lr = 0.25});
    step(sgd, p);
    const double unit = dtype == DType::bf16 ? 0x1p-6 : 0x1p-9;  // in the last place of 2.75
    for (const double written : {3.0, 2.75 + unit, 2.5}) {
      p.detach().fill(written);
      step(sgd, p);
      CHECK(first(p) == written - 0.25);
      CHECK(first(*sgd.state_dict().find("master.p")) == written - 0.25);
    }
  }
}
