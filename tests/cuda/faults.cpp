// Calls to CUDA fail once, each in turn (under sanitizers every 19th): what is thrown is an Error, and the
// program goes on as if nothing had been.
#include <doctest/doctest.h>

#include <varve/varve.h>

#include "tests/cuda/simulated/faults.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

namespace {

struct Net {
  nn::Linear ln1{6, 8}, ln2{8, 4};
  Tensor operator()(const Tensor& x) const { return ln2(relu(ln1(x))); }
  static void members(auto& self, auto&& visit) { visit("ln1", self.ln1), visit("ln2", self.ln2); }
};

// A training on the GPU that looks rows up, multiplies in our kernels and in cuBLASLt's, sorts, is recorded,
// saved at once and beside, and loaded; all numbers of it.
std::vector<double> trained(const std::string& folder) {
  manual_seed(1);
  const OnDevice on(kCuda);
  Net net;
  optim::Adam adam(named_parameters(net), {.lr = 0.01});
  const Tensor table = randn({12, 6}), targets = cast(rand({10}) * 4, DType::i64),
               wide = randn({30, 30}, DType::f64);
  auto step = compile([&](const Tensor& rows) {
    adam.zero_grad();
    const Tensor loss = nn::cross_entropy(net(index_select(table, 0, rows)), targets);
    loss.backward();
    adam.step();
    return Tensors{loss, sort(sum(matmul(wide, wide), {0}), 0).values};
  });
  CheckpointDirectory saver(folder, {.keep_last = 1});
  std::vector<double> numbers;
  for (int64_t i = 0; i < 4; ++i) {
    const Tensors found = step(cast(rand({10}) * 12, DType::i64));
    numbers.push_back(found[0].item()), numbers.push_back(found[1][3].item());
    if (i == 2) saver.save_async({.step = i, .model = state_dict(net), .optimizer = adam.state_dict()});
  }
  saver.wait();
  save(folder + "/state.varve", state_dict(net));
  load_into(state_dict(net), folder + "/state.varve");
  for (const auto& [name, tensor] : state_dict(net)) numbers.push_back(sum(tensor.detach()).item());
  return numbers;
}

}  // namespace

TEST_CASE("whichever call fails, an Error says so and the program goes on, on the simulated GPU") {
  const TemporaryFolder folder;
  const auto run = [&] { return trained(folder / "checkpoints"); };
  const std::vector<double> expected = run();
  for (const bool for_memory : {false, true}) {
    uint64_t absorbed = 0;
    bool failed = true;
    for (uint64_t call = for_memory ? 7 : 0; failed; call += VARVE_SANITIZED ? 19 : 1) {
      CAPTURE(call);
      CAPTURE(for_memory);
      std::vector<double> found;
      simulated::fail(call, for_memory);
      const auto go = [&] { found = run(); };
      const std::string said = for_memory ? message_of<MemoryError>(go) : message_of(go);
      CAPTURE(said);
      failed = simulated::stop_failing();
      if (said == "nothing was thrown") {
        CHECK(found == expected);
        absorbed += failed;
      } else {
        CHECK(contains(said, "cuda"));
      }
      CHECK(run() == expected);
    }
    if (for_memory) CHECK(absorbed > 0);  // by a second try, or without what was refused
  }
}

TEST_CASE("a call that fails says which kernels were started last, on the simulated GPU") {
  const OnDevice on(kCuda);
  const Tensor a = ones({30, 30}, DType::f64), y = matmul(a, a);
  simulated::fail(0, false);
  const std::string said = message_of([&] { y[0][0].item(); });
  CHECK(simulated::stop_failing());
  CHECK(contains(said, "the last kernels started were those of matmul"));
}
