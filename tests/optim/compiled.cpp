// A compiled training step is the plain one, bit for bit: dropout, moments, bias correction and a learning
// rate that changes between replays.
#include <doctest/doctest.h>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/random.h>
#include <varve/core/plan.h>
#include <varve/nn/activation.h>
#include <varve/nn/dropout.h>
#include <varve/nn/linear.h>
#include <varve/nn/loss.h>
#include <varve/nn/sequential.h>
#include <varve/optim/adam.h>
#include <varve/optim/clip.h>
#include <varve/optim/sgd.h>

#include "tests/copied.h"
#include "tests/fixture.h"

using namespace varve;
using test::copied;

namespace {

struct Batch {
  Tensor x, target;
};

Batch batch_of(uint64_t step) {
  const Generator generator(100 + step);
  std::vector<int64_t> classes;
  for (uint64_t i = 0; i < 6; ++i) classes.push_back(static_cast<int64_t>((step + i * i) % 4));
  return {randn({6, 8}, DType::f32, generator), from_span(std::span<const int64_t>(classes), {6})};
}

// Trains 20 steps from the same start, plain or compiled, and returns losses, parameters and optimizer state.
TEST_CASE("what is frozen between calls is not trained by a replay") {
  nn::Linear model(8, 4);
  optim::Sgd sgd(named_parameters(model), {.lr = 0.1});
  auto step = compile([&](const Tensor& x, const Tensor& target) {
    sgd.zero_grad();
    nn::cross_entropy(model(x), target).backward();
    sgd.step();
  });
  const Batch batch = batch_of(0);
  const auto moved = [&] {
    const Tensor before = clone(model.weight.detach());
    step(batch.x, batch.target);
    return !test::identical(before, model.weight.detach());
  };
  CHECK(moved());
  CHECK(moved());
  model.weight.set_requires_grad(false);
  CHECK_FALSE(moved());
  CHECK_FALSE(moved());
  model.weight.set_requires_grad();
  CHECK(moved());
  CHECK(step.plans().size() == 2);
}

TEST_CASE("a function compiled over several steps does what the steps do one by one") {
  constexpr int64_t kAtOnce = 3;
  const auto run = [](bool at_once) {
    manual_seed(5);
    const nn::Sequential model(nn::Linear(8, 7), nn::ReLU(), nn::Dropout{0.25}, nn::Linear(7, 4));
    optim::Adam adam(named_parameters(model), {.lr = 0.05});
    const auto step = [&](const Tensor& x, const Tensor& target) {
      const Tensor loss = nn::cross_entropy(model(x), target);
      adam.zero_grad();
      loss.backward();
      adam.step();
      return loss.detach();
    };
    auto several = compile([&](const Tensor& x, const Tensor& targets) {
      Tensors losses;
      for (int64_t i = 0; i < kAtOnce; ++i) losses.push_back(step(x[i], targets[i]));
      return stack(losses, 0);
    });
    NamedTensors end;
    for (uint64_t first = 0; first < 12; first += kAtOnce) {
      Tensors x, targets, losses;
      for (uint64_t i = first; i < first + kAtOnce; ++i)
        x.push_back(batch_of(i).x), targets.push_back(batch_of(i).target);
      if (!at_once)
        for (size_t i = 0; i < x.size(); ++i) losses.push_back(step(x[i], targets[i]));
      end.add("losses." + std::to_string(first),
              clone(at_once ? several(stack(x, 0), stack(targets, 0)) : stack(losses, 0)));
    }
    for (const NamedTensors& part : {state_dict(model), adam.state_dict()})
      for (const auto& [name, tensor] : part) end.add("end." + name, clone(tensor.detach()));
    if (at_once) CHECK(several.plans().size() == 1);
    return end;
  };
  const NamedTensors expected = run(false), found = run(true);
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(found[i].name);
    CHECK(test::identical(found[i].tensor, expected[i].tensor));
  }
}

// Two that train in turn, each with the other frozen, within one compiled step.
TEST_CASE("what a step freezes and thaws is as it was for the next replay") {
  nn::Linear first(8, 8), second(8, 4);
  optim::Sgd a(named_parameters(first), {.lr = 0.1}), b(named_parameters(second), {.lr = 0.1});
  auto step = compile([&](const Tensor& x, const Tensor& target) {
    for (const bool trains_first : {true, false}) {
      set_requires_grad(first, trains_first), set_requires_grad(second, !trains_first);
      nn::cross_entropy(second(first(x)), target).backward();
      (trains_first ? a : b).step();
      a.zero_grad(), b.zero_grad();
      set_requires_grad(first), set_requires_grad(second);
    }
  });
  const Batch batch = batch_of(0);
  for (int i = 0; i < 3; ++i) step(batch.x, batch.target);
  CHECK(step.plans().size() == 1);
}

template <class Optimizer, class Options>
Tensors trained(bool compiled, Options options, DType dtype, size_t& plans) {
  manual_seed(11);
  nn::Sequential model{nn::Linear{8, 10}, nn::GELU{}, nn::Dropout{0.3}, nn::Linear{10, 4}};
  to(model, dtype);
  Optimizer optimizer(named_parameters(model), options);
  const auto step = [&](const Tensor& x, const Tensor& target) {
    optimizer.zero_grad();
    const Tensor loss = nn::cross_entropy(model(cast(x, dtype)), target);
    loss.backward();
    optim::clip_grad_norm(parameters(model), 0.5);
    optimizer.step();
    return loss;
  };
  auto replayed = compile(step);
  Tensors out;
  for (uint64_t i = 0; i < 20; ++i) {
    if (i % 5 == 4) optimizer.set_lr(options.lr / static_cast<double>(i));
    const Batch batch = batch_of(i);
    out.push_back(clone((compiled ? replayed(batch.x, batch.target) : step(batch.x, batch.target)).detach()));
  }
  for (const NamedTensor& t : state_dict(model)) out.push_back(t.tensor);
  for (const NamedTensor& t : optimizer.state_dict()) out.push_back(t.tensor);
  plans = replayed.plans().size();
  return out;
}

template <class Optimizer, class Options>
void check(Options options) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    CAPTURE(name_of(dtype));
    size_t none = 0, plans = 0;
    const Tensors plain = trained<Optimizer>(false, options, dtype, none);
    const Tensors replayed = trained<Optimizer>(true, options, dtype, plans);
    CHECK(plans == 1);
    REQUIRE(plain.size() == replayed.size());
    for (size_t i = 0; i < plain.size(); ++i) {
      CAPTURE(i);
      CHECK(test::identical(plain[i], replayed[i]));
    }
    CHECK_FALSE(test::identical(plain[0], plain[19]));
  }
}

}  // namespace

TEST_CASE("a compiled SGD step is the plain one bit for bit") {
  check<optim::Sgd>(optim::SgdOptions{.lr = 0.1});
  check<optim::Sgd>(optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true});
}

TEST_CASE("a compiled Adam step is the plain one bit for bit") {
  check<optim::Adam>(optim::AdamOptions{.lr = 0.01, .weight_decay = 0.01});
  check<optim::AdamW>(optim::AdamWOptions{.lr = 0.01, .weight_decay = 0.1});
}

TEST_CASE("a compiled step goes on from a loaded optimizer") {
  Tensor w = ones({3});
  w.set_requires_grad();
  optim::Adam adam{{{"w", w}}, {.lr = 0.1}};
  auto step = compile([&](const Tensor& gradient) {
    w.set_grad(gradient);
    adam.step();
  });
  const Tensor g = tensor({1.f, -2.f, 0.5f});
  step(g);
  const NamedTensors saved = copied(adam.state_dict());
  const Tensor at_save = clone(w.detach());
  step(g);
  const Tensor expected = clone(w.detach());
  step(g);
  adam.load_state_dict(saved);
  w.detach().assign(at_save);
  step(g);
  CHECK(test::identical(w, expected));
  CHECK(adam.state_dict().find("step.w")->item() == 2);
}

TEST_CASE("a compiled step has the options that were loaded last") {
  const auto trained = [](bool compiled) {
    Tensor w = ones({3});
    w.set_requires_grad();
    optim::Sgd sgd{{{"w", w}}, {.lr = 0.1, .momentum = 0.9}};
    const auto step = [&](const Tensor& gradient) {
      w.set_grad(gradient);
      sgd.step();
    };
    auto fast = compile(step);
    for (int i = 0; i < 12; ++i) {
      if (i % 4 == 3) {  // of another optimizer, and not on a plan's first runs
        NamedTensors state;
        for (const NamedTensor& t : sgd.state_dict())
          state.add(t.name, t.name.ends_with("momentum") ? full({}, 0.05 * i, DType::f64) : clone(t.tensor));
        sgd.load_state_dict(state);
      }
      const Tensor g = tensor({1.f, -2.f, 0.5f});
      compiled ? fast(g) : step(g);
    }
    return w;
  };
  CHECK(test::identical(trained(true), trained(false)));
}
