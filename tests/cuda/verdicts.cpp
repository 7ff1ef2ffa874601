// An index out of range that a recording meets is heard of once, by who asked for it, and is in no file.
#include <varve/varve.h>

#include <filesystem>
#include <thread>

#include "tests/cuda/gpu.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr const char* kNothing = "nothing was thrown";

// A step that looks rows up in two tables and changes a weight.
struct Tables {
  Tensor pixels = randn({10, 8}), labels = randn({10, 8}), weight = randn({8});
  Tensor operator()(const Tensor& rows) const {
    const NoGrad guard;
    const Tensor x = index_select(pixels, 0, rows), y = index_select(labels, 0, rows);
    weight.assign(weight * 0.9 + sum(x * y, {0}));
    return sum(weight);
  }
};

struct Step {
  Tables tables;
  decltype(compile(tables)) run = compile(tables);
  const Tensor good = arange(10), bad = arange(10) + 7, weight = tables.weight;

  Step() {
    for (int i = 0; i < 3; ++i) run(good).item();
    REQUIRE(run.plans()[0]->is_recorded());
  }
};

void in_thread(const std::function<void()>& work) { std::thread(work).join(); }

}  // namespace

TEST_CASE("one bad step is one error, and those after it are good again, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  Step step;
  const Tensor found = step.run(step.bad);
  CHECK(contains(message_of<ShapeError>([&] { found.item(); }), "gather: index"));
  CHECK(message_of([&] { found.item(); }) == kNothing);
  CHECK(message_of([&] { step.run(step.good).item(); }) == kNothing);
}

TEST_CASE("who started a recording hears of its errors, and no other thread instead, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  Step step;
  const Tensor found = step.run(step.bad), other = ones({4});
  in_thread([&] {
    CHECK(message_of([&] { sum(other).item(); }) == kNothing);
    CHECK(contains(message_of<ShapeError>([&] { found.item(); }), "gather: index"));  // what the step wrote
    CHECK(message_of([&] { found.item(); }) == kNothing);
  });
  CHECK(contains(message_of<ShapeError>([&] { other[0].item(); }), "gather: index"));
  CHECK(message_of([&] { other[0].item(); }) == kNothing);
}

TEST_CASE("what a thread that is gone never heard of is not another's error, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  Step step;
  in_thread([&] {
    const OnDevice there(kCuda);
    step.run(step.bad);
  });
  in_thread([&] {
    const OnDevice there(kCuda);
    const Tensor other = ones({4});
    CHECK(message_of([&] { sum(other).item(); }) == kNothing);  // and all before is done
    CHECK(message_of([&] { step.run(step.good).item(); }) == kNothing);
  });
}

TEST_CASE("a recording that is gone has left its errors, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  Tensor kept;
  {
    Step step;
    kept = clone(step.run(step.bad));
  }
  CHECK(contains(message_of<ShapeError>([&] { kept.item(); }), "gather: index"));
  CHECK(message_of([&] { kept.item(); }) == kNothing);
}

TEST_CASE("what a bad step changed is not saved before its error was heard, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  const TemporaryFolder folder;
  Step step;
  const NamedTensors state{{"weight", step.weight}};
  step.run(step.bad);
  CHECK(contains(message_of<ShapeError>([&] { save(folder / "state.varve", state); }), "gather: index"));
  CHECK(!std::filesystem::exists(folder / "state.varve"));
  save(folder / "state.varve", state);
  CheckpointDirectory saver(folder / "checkpoints");
  step.run(step.bad);
  saver.save_async({.step = 1, .model = state});
  CHECK(contains(message_of<ShapeError>([&] { step.weight[0].item(); }), "gather: index"));
  CHECK(contains(message_of<ShapeError>([&] { saver.wait(); }), "gather: index"));
  CHECK(!saver.resume_latest());
  saver.save_async({.step = 2, .model = state});
  step.run(step.bad);  // after it
  saver.wait();
  CHECK(saver.resume_latest()->checkpoint.step == 2);
  step.run(step.bad);
  in_thread([&] {  // who did not run it
    saver.save_async({.step = 3, .model = state});
    CHECK(contains(message_of<ShapeError>([&] { saver.wait(); }), "gather: index"));
    saver.save_async({.step = 4, .model = state});  // as restored
    saver.wait();
    CHECK(saver.resume_latest()->checkpoint.step == 4);
  });
  CHECK(contains(message_of<ShapeError>([&] { step.weight[0].item(); }), "gather: index"));
}

TEST_CASE("what is scattered out of range along a long axis meets no memory, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  auto counted = compile([](const Tensor& rows) {
    const NoGrad guard;
    return scatter_add(zeros({3}), 0, rows, ones({1000}));
  });
  const Tensor rows = cast(arange(1000) < 600, DType::i64);
  for (int i = 0; i < 3; ++i) CHECK(counted(rows)[1].item() == 600);
  REQUIRE(counted.plans()[0]->is_recorded());
  const Tensor found = clone(counted(rows * 4 - 1));
  CHECK(message_of<ShapeError>([&] { found[2].item(); }) ==
        "scatter_add: index 3 for an axis of size 3; required is -3 to 2");
  CHECK(found[2].item() == 400);
  CHECK(sum(found).item() == 400);
}
