// Training on the GPU: the loss falls, runs repeat bit for bit, and end where the CPU's do.
#include <varve/varve.h>
#include "tests/cuda/gpu.h"
#include "tests/fixture.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

namespace {

struct Net {
  nn::Linear ln1{20, 32}, ln2{32, 4};
  nn::Dropout drop{0.1};
  Tensor operator()(const Tensor& x) const { return ln2(drop(relu(ln1(x)))); }
  static void members(auto& self, auto&& visit) {
    visit("ln1", self.ln1);
    visit("ln2", self.ln2);
    visit("drop", self.drop);
  }
};

struct Outcome {
  std::vector<double> losses;
  NamedTensors state;  // on the CPU
};

// Steps on one batch of a task that can be learnt; the numbers drawn are the same on every device.
template <class Optimizer>
Outcome trained(Device device, bool compiled, int steps, bool dropout = true) {
  manual_seed(11);
  Net net;
  Generator draws(2);
  const Tensor x = randn({64, 20}, DType::f32, draws).to(device);
  const Tensor y = argmax(matmul(x.to(kCpu), randn({20, 4}, DType::f32, draws)), -1).to(device);
  to(net, device);
  manual_seed(12);  // dropout draws the same numbers wherever the parameters were drawn
  train(net, dropout);
  Optimizer optimizer(named_parameters(net), {.lr = 0.01});
  const auto step = [&](const Tensor& inputs, const Tensor& targets) {
    optimizer.zero_grad();
    const Tensor loss = nn::cross_entropy(net(inputs), targets);
    loss.backward();
    optimizer.step();
    return loss;
  };
  auto fast = compile(step);
  Outcome out;
  for (int i = 0; i < steps; ++i) out.losses.push_back((compiled ? fast(x, y) : step(x, y)).item());
  for (const auto& [name, tensor] : state_dict(net)) out.state.add(name, tensor.to(kCpu));
  for (const auto& [name, tensor] : optimizer.state_dict())
    out.state.add("optimizer." + name, tensor.to(kCpu));
  return out;
}

void check_identical(const Outcome& a, const Outcome& b) {
  CHECK(a.losses == b.losses);
  REQUIRE(a.state.size() == b.state.size());
  for (size_t i = 0; i < a.state.size(); ++i) {
    CAPTURE(a.state[i].name);
    CHECK(identical(a.state[i].tensor, b.state[i].tensor));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("training on the GPU: the loss falls, bits repeat, the CPU agrees", T, optim::Adam,
                   optim::AdamW, optim::Sgd) {
  if (!gpu()) return;
  const Outcome eager = trained<T>(kCuda, false, 30);
  CHECK(eager.losses.back() < eager.losses.front());
  check_identical(eager, trained<T>(kCuda, false, 30));
  check_identical(eager, trained<T>(kCuda, true, 30));
  const Outcome cpu = trained<T>(kCpu, true, 30);
  for (size_t i = 0; i < cpu.losses.size(); ++i) {
    CAPTURE(i);
    CHECK(eager.losses[i] == doctest::Approx(cpu.losses[i]).epsilon(1e-3));
  }
  for (const NamedTensor& expected : cpu.state) {
    CAPTURE(expected.name);
    CHECK(distance(*eager.state.find(expected.name), expected.tensor) < 2e-2);
  }
}

TEST_CASE(
    "a compiled step is one recording, reads inputs wherever they lie, and reports an index out of range") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  const Tensor table = randn({10, 33}), weight = randn({33, 5});
  auto picked = compile([&](const Tensor& rows, const Tensor& scale) {
    const Tensor x = index_select(table, 0, rows);
    return Tensors{softmax(matmul(x, weight)) * scale, sort(sum(x, {0}), 0).values, cumsum(x, 0)};
  });
  for (int64_t i = 0; i < 6; ++i) {
    const Tensor all = cast(rand({40}, 0, 10), DType::i64);
    const Tensor rows = slice(all, 0, i, i + 20), scale = full({}, static_cast<double>(i));
    const Tensors found = picked(rows, scale);
    const Tensor x = index_select(table, 0, rows);
    CAPTURE(i);
    CHECK(identical(found[0], softmax(matmul(x, weight)) * scale));
    CHECK(identical(found[1], sort(sum(x, {0}), 0).values));
    CHECK(identical(found[2], cumsum(x, 0)));
  }
  REQUIRE(picked.plans().size() == 1);
  CHECK(picked.plans()[0]->is_recorded());
  Tensor bad = clone(arange(20) * 0);
  bad[7].fill(10);
  const Tensors found = picked(bad, full({}, 1));
  CHECK(contains(message_of<ShapeError>([&] { found[0][0][0].item(); }),
                 "gather: index 10 for an axis of size 10"));
  CHECK(found[0][0][0].item() >= 0);  // and it goes on
  const Tensor logits = randn({20, 10}), same = eye(10);
  for (const bool of_product : {false, true}) {
    auto loss = compile([&](const Tensor& x, const Tensor& targets) {
      return nn::cross_entropy(of_product ? matmul(x, same) : x, targets, nn::Reduction::none);
    });
    for (int i = 0; i < 3; ++i) loss(logits, arange(20) * 0);
    CHECK(loss.plans()[0]->is_recorded());
    for (const double outside : {10.0, -1.0}) {
      bad[7].fill(outside);
      const Tensor losses = loss(logits, bad);
      CHECK(message_of<ShapeError>([&] { losses[0].item(); }) ==
            "cross_entropy: target " + std::to_string(static_cast<int>(outside)) +
                " found; required is one of the classes 0 to 9");
      CHECK(losses[0].item() >= 0);
    }
  }
  // What nobody holds may be had by others while the recording lives, but for its own memory.
  const Tensor other = randn({1000, 1000}), copy = clone(other);
  picked(arange(20) * 0, full({}, 1));
  CHECK(identical(other, copy));
}

TEST_CASE("a long training on the GPU learns its batch") {
  if (!gpu()) return;
  const Outcome out = trained<optim::Adam>(kCuda, true, kSimulated ? 120 : 300, false);
  CHECK(out.losses.back() < 0.05);
}

TEST_CASE("a state trained on the GPU is saved, and loads on either device") {
  if (!gpu()) return;
  manual_seed(3);
  Net there, here;
  to(there, kCuda);
  const std::string path = "test_cuda_state.varve";
  save(path, state_dict(there));
  load_state_dict(here, load(path));
  for (const auto& [name, tensor] : state_dict(here)) CHECK(identical(*state_dict(there).find(name), tensor));
  Net again;
  to(again, kCuda);
  load_into(state_dict(again), path);
  for (const auto& [name, tensor] : state_dict(again))
    CHECK(identical(*state_dict(there).find(name), tensor));
  std::remove(path.c_str());
}

TEST_CASE("second derivatives and gradient clipping work on the GPU as on the CPU") {
  if (!gpu()) return;
  const auto second = [](Device device) {
    Tensor x = tensor<double>({0.3, -0.7, 1.1}).to(device);
    x.set_requires_grad();
    const Tensor y = sum(tanh(x) * x * x + gelu(x) + clamp(prod(x), 0, 1));
    const Tensor g = grad({y}, {x}, {}, {.create_graph = true})[0];
    sum(g * g).backward();
    optim::clip_grad_norm({x}, 0.5);
    return x.grad().to(kCpu);
  };
  CHECK(distance(second(kCuda), second(kCpu)) < 1e-12);
}
