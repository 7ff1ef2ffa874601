// What all optimizers share: state by name, groups, learning rates, and what they refuse.
#include <varve/optim/optimizer.h>

#include <doctest/doctest.h>

#include <limits>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/record.h>
#include <varve/nn/activation.h>
#include <varve/nn/linear.h>
#include <varve/nn/loss.h>
#include <varve/nn/sequential.h>
#include <varve/optim/adam.h>
#include <varve/optim/sgd.h>

#include "tests/copied.h"
#include "tests/fixture.h"

using namespace varve;
using test::copied;

namespace {

using Mlp = nn::Sequential<nn::Linear, nn::SiLU, nn::Linear>;
Mlp make_model() { return Mlp{nn::Linear{5, 7}, nn::SiLU{}, nn::Linear{7, 3}}; }

Tensor one_step(const Mlp& model, optim::Optimizer& optimizer, uint64_t seed) {
  const Generator generator(seed);
  const DType dtype = parameters(model)[0].dtype();
  const Tensor x = randn({4, 5}, dtype, generator), target = randn({4, 3}, dtype, generator);
  const Tensor loss = nn::mse_loss(model(x), target);
  optimizer.zero_grad();
  loss.backward();
  optimizer.step();
  return loss;
}

std::vector<std::string> names(const NamedTensors& tensors) {
  std::vector<std::string> out;
  for (const NamedTensor& t : tensors) out.push_back(t.name);
  return out;
}

// Trains, saves, trains on; and loads what was saved into an optimizer made with other options.
template <class Optimizer, class Options>
void check_resume(Options options, Options others, DType dtype = DType::f32) {
  Mlp model = make_model();
  to(model, dtype);
  Optimizer optimizer(named_parameters(model), options);
  for (uint64_t step = 0; step < 5; ++step) one_step(model, optimizer, step);
  optimizer.set_lr(0.003);
  const Mlp later = clone(model);
  const NamedTensors saved = copied(optimizer.state_dict());

  Optimizer resumed(named_parameters(later), others);
  CHECK(resumed.load_state_dict(saved).clean());
  CHECK(resumed.lr() == 0.003);
  for (uint64_t step = 5; step < 10; ++step)
    CHECK(test::identical(one_step(model, optimizer, step), one_step(later, resumed, step)));
  const NamedTensors a = state_dict(model), b = state_dict(later);
  for (size_t i = 0; i < a.size(); ++i) CHECK(test::identical(a[i].tensor, b[i].tensor));
  const NamedTensors c = optimizer.state_dict(), d = resumed.state_dict();
  REQUIRE(names(c) == names(d));
  for (size_t i = 0; i < c.size(); ++i) CHECK(test::identical(c[i].tensor, d[i].tensor));
}

std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

Tensor parameter(const Shape& shape) {
  Tensor t = ones(shape);
  return t.set_requires_grad();
}

}  // namespace

TEST_CASE("a saved optimizer resumes bit for bit, options included") {
  check_resume<optim::Sgd>(
      optim::SgdOptions{.lr = 0.02, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true},
      optim::SgdOptions{});
  check_resume<optim::Adam>(optim::AdamOptions{.lr = 0.01, .beta1 = 0.7, .beta2 = 0.9, .weight_decay = 0.1},
                            optim::AdamOptions{.lr = 1, .eps = 0.1});
  check_resume<optim::AdamW>(optim::AdamWOptions{.lr = 0.01}, optim::AdamWOptions{.weight_decay = 0.5});
  for (const DType half : {DType::bf16, DType::f16})
    check_resume<optim::AdamW>(optim::AdamWOptions{.lr = 1e-3}, optim::AdamWOptions{}, half);
}

TEST_CASE("state is named by parameter, and complete before the first step") {
  const Mlp model = make_model();
  const optim::Adam adam{named_parameters(model), {.lr = 0.01}};
  CHECK(names(adam.state_dict()) ==
        std::vector<std::string>{"exp_avg.0.weight", "exp_avg.0.bias", "exp_avg.2.weight", "exp_avg.2.bias",
                                 "exp_avg_sq.0.weight", "exp_avg_sq.0.bias", "exp_avg_sq.2.weight",
                                 "exp_avg_sq.2.bias", "step.0.weight", "step.0.bias", "step.2.weight",
                                 "step.2.bias", "groups.0.lr", "groups.0.beta1", "groups.0.beta2",
                                 "groups.0.eps", "groups.0.weight_decay"});
  CHECK(model(zeros({1, 5})).defined());
  CHECK(std::get<0>(model.layers).weight.label() == "0.weight");
}

TEST_CASE("a state of other names or with senseless options is refused whole") {
  const Mlp model = make_model();
  optim::Adam adam{named_parameters(model)};
  one_step(model, adam, 1);
  const NamedTensors before = copied(adam.state_dict());
  const auto unchanged = [&] {
    const NamedTensors now = adam.state_dict();
    return std::equal(now.begin(), now.end(), before.begin(), before.end(),
                      [](const auto& a, const auto& b) { return test::identical(a.tensor, b.tensor); });
  };

  NamedTensors renamed;
  for (const NamedTensor& t : before)
    renamed.add(t.name, t.name.starts_with("exp_avg") ? t.tensor + 1 : t.tensor);
  renamed[0].name = "exp_avg.other.weight";
  const std::string what = refusal([&] { adam.load_state_dict(renamed); });
  CHECK(what.find("missing (1): exp_avg.0.weight") != std::string::npos);
  CHECK(what.find("unexpected (1): exp_avg.other.weight") != std::string::npos);
  CHECK(unchanged());

  const optim::Sgd sgd{named_parameters(model)};
  CHECK_THROWS_AS(adam.load_state_dict(sgd.state_dict()), Error);
  CHECK(unchanged());

  for (const char* option : {"groups.0.lr", "groups.0.beta1", "groups.0.eps"})
    for (const double value : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
      NamedTensors senseless = copied(before);
      senseless.find(option)->fill(value);
      CHECK_THROWS_AS(adam.load_state_dict(senseless), Error);
      CHECK(unchanged());
    }

  NamedTensors partial;
  partial.add("groups.0.beta1", full({}, 0.5, DType::f64));
  CHECK_FALSE(adam.load_state_dict(partial, false).clean());
  CHECK(adam.state_dict().find("groups.0.beta1")->item() == 0.5);
}

TEST_CASE("groups have their own options and learning rates") {
  const Tensor fast = parameter({2}), slow = parameter({2}), idle = parameter({2});
  optim::Sgd sgd(std::vector<optim::Group<optim::SgdOptions>>{
      {{{"fast", fast}, {"idle", idle}}, {.lr = 1}}, {{{"slow", slow}}, {.lr = 0.5, .weight_decay = 1}}});
  const auto step = [&] {
    for (const Tensor& t : {fast, slow}) t.set_grad(full({2}, 0.25));
    sgd.step();
  };
  step();
  CHECK(test::identical(fast, full({2}, 0.75)));
  CHECK(test::identical(slow, full({2}, 1 - 0.5 * 1.25)));
  CHECK(test::identical(idle, ones({2})));  // no gradient, no step
  sgd.set_lr(2, 0);
  CHECK(sgd.lr(0) == 2);
  CHECK(sgd.lr(1) == 0.5);
  step();
  CHECK(test::identical(fast, full({2}, 0.25)));
  sgd.set_lr(0);
  const Tensor before = clone(slow);
  step();
  CHECK(test::identical(slow, before));
  sgd.zero_grad();
  CHECK_FALSE(fast.grad().defined());
}

TEST_CASE("optimizers refuse parameters they cannot train") {
  const Tensor w = parameter({2});
  const auto made_of = [](NamedTensors p) { return refusal([&] { optim::Adam{std::move(p)}; }); };
  CHECK(made_of({{"w", w}, {"v", w}}) == "Adam: parameter 'v' is 'w' again; give each tensor once");
  CHECK(made_of({{"w", w}, {"w", parameter({2})}}).find("'w' is named like another") != std::string::npos);
  CHECK(made_of({{"w", ones({2})}}).find("'w' is not a leaf that requires a gradient") != std::string::npos);
  CHECK(made_of({{"w", w * 2}}).find("'w' is not a leaf") != std::string::npos);
  CHECK(made_of({{"w", Tensor()}}).find("'w' is undefined") != std::string::npos);
  CHECK_THROWS_AS(
      optim::Sgd(std::vector<optim::Group<optim::SgdOptions>>{{{{"a", w}}, {}}, {{{"b", w}}, {}}}), Error);
}

TEST_CASE("optimizers refuse options that make no sense") {
  const NamedTensors p{{"w", parameter({2})}};
  CHECK_THROWS_WITH_AS((optim::Sgd{p, {.lr = -1}}),
                       "optimizer: lr = -1; required is a finite number, at least 0", Error);
  CHECK_THROWS_AS((optim::Sgd{p, {.momentum = 1}}), Error);
  CHECK_THROWS_AS((optim::Sgd{p, {.weight_decay = -1}}), Error);
  CHECK_THROWS_AS((optim::Sgd{p, {.nesterov = true}}), Error);
  CHECK_THROWS_AS((optim::Adam{p, {.beta1 = 1}}), Error);
  CHECK_THROWS_AS((optim::Adam{p, {.beta2 = -0.1}}), Error);
  CHECK_THROWS_AS((optim::Adam{p, {.eps = -1}}), Error);
  CHECK_THROWS_AS((optim::AdamW{p, {.weight_decay = std::numeric_limits<double>::quiet_NaN()}}), Error);
  optim::Sgd sgd{p};
  CHECK_THROWS_AS(sgd.set_lr(std::numeric_limits<double>::infinity()), Error);
}

TEST_CASE("what is frozen is not trained, and is again once it thaws") {
  Mlp model = make_model();
  optim::Sgd sgd(named_parameters(model), {.lr = 0.1});
  const auto moved = [&](bool zero_first) {
    Tensors before;
    for (const Tensor& p : parameters(model)) before.push_back(clone(p.detach()));
    if (zero_first) sgd.zero_grad();
    Tensor x = ones({4, 5});
    x.set_label("input");
    nn::mse_loss(model(x.set_requires_grad()), zeros({4, 3})).backward();
    sgd.step();
    std::vector<bool> out;
    for (size_t i = 0; i < before.size(); ++i)
      out.push_back(!test::identical(before[i], parameters(model)[i]));
    return out;
  };
  const std::vector<bool> all(parameters(model).size(), true), none(all.size(), false);
  CHECK(moved(true) == all);
  set_requires_grad(model, false);
  CHECK(moved(false) == none);  // nor by the gradients of the step before
  set_requires_grad(model);
  CHECK(moved(true) == all);
}

TEST_CASE("a step with a parameter that has no gradient is no anomaly") {
  const Mlp model = make_model();
  Tensor unused = ones({3});
  unused.set_requires_grad();
  NamedTensors all = named_parameters(model);
  all.add("unused", unused);
  optim::AdamW adam(all);
  const DetectAnomaly guard;
  nn::mse_loss(model(ones({4, 5})), zeros({4, 3})).backward();
  CHECK_NOTHROW(adam.step());
  CHECK(test::identical(unused.detach(), ones({3})));
}

TEST_CASE("the first step names a parameter that nobody lists") {
  const Mlp model = make_model();
  Tensor forgotten = ones({3}), frozen = ones({3});
  forgotten.set_requires_grad();
  optim::Sgd sgd(named_parameters(model), {.lr = 0.1});
  const auto sweep = [&] {
    nn::mse_loss(model(ones({4, 5})) * forgotten * frozen, zeros({4, 3})).backward();
  };
  sweep();
  CHECK_THROWS_WITH_AS(sgd.step(), doctest::Contains("Sgd: the loss also reaches a tensor f32[3]"), Error);
  forgotten.set_label("scale");  // meant
  CHECK_NOTHROW(sgd.step());

  optim::Sgd before_any_sweep(named_parameters(model), {.lr = 0.1});
  Tensor later = ones({3});
  before_any_sweep.zero_grad();
  forgotten.set_requires_grad(false), later.set_requires_grad();
  nn::mse_loss(model(ones({4, 5})) * later, zeros({4, 3})).backward();
  CHECK_THROWS_AS(before_any_sweep.step(), Error);
}
