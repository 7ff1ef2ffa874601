// An asynchronous save beside training: neither gets in the other's way.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include <varve/core/cpu/threads.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/random.h>
#include <varve/core/plan.h>
#include <varve/io/checkpoint_directory.h>
#include <varve/nn/activation.h>
#include <varve/nn/linear.h>
#include <varve/nn/loss.h>
#include <varve/nn/sequential.h>
#include <varve/optim/adam.h>

#include "tests/copied.h"
#include "tests/io/crash/forwarding.h"
#include "tests/io/same.h"
#include "tests/io/temporary_folder.h"
#include "tests/same_bits.h"

using namespace varve;
using test::check_same;
using test::copied;
using test::TemporaryFolder;

namespace {

// Does something before each call of a kind, on the thread that saves.
class Before : public test::Forwarding {
 public:
  Before(test::Call call, std::function<void()> then)
      : Forwarding(io::system_files()), call_(call), then_(std::move(then)) {}

 private:
  int before(test::Call call) override {
    if (call == call_) then_();
    return 0;
  }
  test::Call call_;
  std::function<void()> then_;
};

// A compiled step, and the state that it leaves.
struct Training {
  Generator generator{1};
  nn::Sequential<nn::Linear, nn::ReLU, nn::Linear> net{nn::Linear(64, 512), nn::ReLU(), nn::Linear(512, 64)};
  optim::Adam adam{named_parameters(net), {.lr = 1e-2}};
  Tensor x = randn({64, 64}, DType::f32, generator), y = randn({64, 64}, DType::f32, generator);

  Training() {
    for (const NamedTensor& p : named_parameters(net))
      p.tensor.detach().assign(randn(p.tensor.shape(), DType::f32, generator) * 0.1);
  }
  Tensor step() {
    const Tensor loss = nn::mse_loss(net(x), y);
    adam.zero_grad();
    loss.backward();
    adam.step();
    return loss;
  }
  Checkpoint checkpoint(int64_t step) const {
    Checkpoint c;
    c.step = step;
    c.model = state_dict(net);
    c.optimizer = adam.state_dict();
    return c;
  }
};

}  // namespace

TEST_CASE("the thread that saves leaves the pool to others") {
  const int before = threads();
  set_threads(2);
  std::atomic<int> writes{0}, elsewhere{0};
  {
    Before files(test::Call::write, [&] {
      ++writes;
      const auto mine = std::this_thread::get_id();
      cpu::parallel(20, [&](int64_t) {
        if (std::this_thread::get_id() != mine) ++elsewhere;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // a worker has time to wake
      });
    });
    const TemporaryFolder folder;
    CheckpointDirectory directory(folder / "c", {.files = &files});
    Checkpoint c;
    c.model.add("w", zeros({1000, 100}));
    directory.save_async(c);
    directory.wait();
  }
  CHECK(writes > 0);
  CHECK(elsewhere == 0);
  set_threads(before);
}

TEST_CASE("beside a save a compiled step keeps its bits, and the file those of the call") {
  constexpr int kSteps = 30, kEvery = 10, kWarm = 3;
  const auto losses = [](Training& training, const std::function<void(int)>& before_step) {
    auto step = compile([&] { return training.step(); });
    Tensors all;
    for (int i = 0; i < kWarm + kSteps; ++i) {
      before_step(i - kWarm);
      all.push_back(clone(step().detach()));
    }
    return all;
  };
  Training plain, saved;
  const Tensors expected = losses(plain, [](int) {});

  // No value is read for the file before the step that follows the call is done.
  std::atomic<int> begun{0}, asked{0};
  Before files(test::Call::create, [&] {
    while (begun <= asked) std::this_thread::yield();
  });
  const TemporaryFolder folder;
  std::vector<Checkpoint> at_call;
  CheckpointDirectory directory(folder / "c", {.files = &files});
  const Tensors found = losses(saved, [&](int i) {
    begun = i;
    if (i < 0 || i % kEvery != 0) return;
    directory.wait();
    asked = i;
    Checkpoint c = saved.checkpoint(i);
    c.history.add("much", full({1 << 20}, i));
    directory.save_async(c);
    c.model = copied(c.model), c.optimizer = copied(c.optimizer);
    at_call.push_back(std::move(c));
  });
  begun = kSteps;
  directory.wait();

  for (size_t i = 0; i < expected.size(); ++i) CHECK(test::same_bits(found[i], expected[i]));
  check_same(state_dict(saved.net), state_dict(plain.net));
  check_same(saved.adam.state_dict(), plain.adam.state_dict());
  REQUIRE(at_call.size() == kSteps / kEvery);
  for (const Checkpoint& c : at_call) {
    const std::string digits = std::to_string(c.step);
    const Checkpoint file = load_checkpoint(
        folder / ("c/checkpoint-" + std::string(12 - digits.size(), '0') + digits + ".varve"));
    check_same(file.model, c.model);
    check_same(file.optimizer, c.optimizer);
  }
}
