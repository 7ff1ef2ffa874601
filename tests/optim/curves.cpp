// Each optimizer trains a small network for 200 steps along PyTorch's very loss curve.
#include <doctest/doctest.h>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>
#include <varve/nn/activation.h>
#include <varve/nn/linear.h>
#include <varve/nn/loss.h>
#include <varve/nn/sequential.h>
#include <varve/optim/adam.h>
#include <varve/optim/sgd.h>

#include "tests/fixture.h"

using namespace varve;

namespace {

const test::Fixture& fixture() {
  static const test::Fixture loaded("training");
  return loaded;
}

template <class Optimizer, class Options>
void follow(const std::string& name, Options options) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::string at = std::string(name_of(dtype)) + "." + name + ".";
    CAPTURE(at);
    const nn::Sequential model{nn::Linear(12, 16, true, dtype), nn::Tanh{}, nn::Linear(16, 4, true, dtype)};
    NamedTensors start;
    for (const NamedTensor& p : named_parameters(model))
      start.add(p.name, cast(fixture()["start." + p.name], dtype));
    load_state_dict(model, start);

    Optimizer optimizer(named_parameters(model), options);
    std::vector<double> curve;
    for (int64_t step = 0; step < 200; ++step) {
      const int64_t first = 8 * (step % 4);
      const Tensor x = cast(slice(fixture()["x"], 0, first, first + 8), dtype);
      const Tensor loss = nn::cross_entropy(model(x), slice(fixture()["target"], 0, first, first + 8));
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      curve.push_back(loss.item());
    }
    const Tensor found = cast(from_span(std::span<const double>(curve), {200}), dtype);
    CHECK(test::distance(found, fixture()[at + "curve"]) <= test::tolerance(dtype));
    CHECK(test::distance(parameters(model)[0], fixture()[at + "0.weight"]) <= test::tolerance(dtype));
  }
}

}  // namespace

TEST_CASE("SGD follows PyTorch's curve") {
  follow<optim::Sgd>("sgd", optim::SgdOptions{.lr = 0.05});
  follow<optim::Sgd>("sgd_decay", optim::SgdOptions{.lr = 0.05, .weight_decay = 0.01});
  follow<optim::Sgd>("momentum", optim::SgdOptions{.lr = 0.02, .momentum = 0.9});
  follow<optim::Sgd>("nesterov",
                     optim::SgdOptions{.lr = 0.02, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true});
}

TEST_CASE("Adam and AdamW follow PyTorch's curves") {
  follow<optim::Adam>("adam", optim::AdamOptions{.lr = 0.002});
  follow<optim::Adam>("adam_decay",
                      optim::AdamOptions{.lr = 0.002, .beta1 = 0.8, .beta2 = 0.99, .weight_decay = 0.01});
  follow<optim::AdamW>("adamw", optim::AdamWOptions{.lr = 0.002, .weight_decay = 0.1});
}

namespace {

template <class Optimizer, class Options>
void begin_late(const std::string& name, Options options) {
  static const test::Fixture late("late_gradient");
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::string at = std::string(name_of(dtype)) + "." + name + ".";
    CAPTURE(at);
    Tensor a = clone(late[at + "a"]), b = clone(late[at + "b"]);
    a.set_requires_grad(), b.set_requires_grad();
    Optimizer optimizer({{"a", a}, {"b", b}}, options);
    for (int step = 0; step < 12; ++step) {
      optimizer.zero_grad();
      const Tensor loss = sum(a * a * a);
      (step < 5 ? loss : loss + sum(a * b * b)).backward();
      optimizer.step();
    }
    CHECK(test::distance(a.detach(), late[at + "a12"]) <= test::tolerance(dtype));
    CHECK(test::distance(b.detach(), late[at + "b12"]) <= test::tolerance(dtype));
  }
}

}  // namespace

TEST_CASE("a parameter whose gradients begin late is stepped as PyTorch steps it") {
  begin_late<optim::Sgd>("momentum", optim::SgdOptions{.lr = 0.02, .momentum = 0.9});
  begin_late<optim::Adam>("adam", optim::AdamOptions{.lr = 0.002});
  begin_late<optim::AdamW>("adamw", optim::AdamWOptions{.lr = 0.002, .weight_decay = 0.1});
}
