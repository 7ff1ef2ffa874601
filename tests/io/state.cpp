// State dicts on disk: a file of every kind opens as one.
#include <varve/io/state.h>

#include <doctest/doctest.h>

#include "tests/fixture.h"
#include "tests/io/temporary_folder.h"

#include <varve/core/members.h>
#include <varve/io/checkpoint.h>

using namespace varve;

namespace {

NamedTensors some_state() {
  NamedTensors state;
  state.add("ln.weight", tensor<float>({1, 2, 3, 4}, {2, 2}));
  state.add("ln.bias", tensor<float>({5, 6}));
  return state;
}

struct Tied {
  Tensor in = full({3, 3}, 2.0), out = in;
  static void members(auto& self, auto&& visit) {
    visit("in", self.in);
    visit("out", self.out);
  }
};

void check_some_state(const NamedTensors& found) {
  const NamedTensors expected = some_state();
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].name == expected[i].name);
    CHECK(test::identical(found[i].tensor, expected[i].tensor));
  }
}

}  // namespace

TEST_CASE("a state dict is loaded as it was saved") {
  const test::TemporaryFolder folder;
  save(folder / "s.varve", some_state());
  check_some_state(load(folder / "s.varve"));
}

TEST_CASE("the state in a model's file leaves its constants out") {
  const test::TemporaryFolder folder;
  io::Container model{"model", io::MetaMap{{"graphs", 2}}, some_state()};
  model.tensors.add("constant:0", zeros({3}));
  io::write(folder / "m.varve", model);
  check_some_state(load(folder / "m.varve"));
}

TEST_CASE("the state in a checkpoint is its model's") {
  const test::TemporaryFolder folder;
  Checkpoint checkpoint;
  checkpoint.model = some_state();
  checkpoint.optimizer.add("ln.weight", zeros({2, 2}));
  save_checkpoint(folder / "c.varve", checkpoint);
  check_some_state(load(folder / "c.varve"));
}

TEST_CASE("another kind of file is refused by its kind") {
  const test::TemporaryFolder folder;
  io::write(folder / "x", {"picture", {}, some_state()});
  CHECK_THROWS_WITH_AS(load(folder / "x"), doctest::Contains("'picture'"), FormatError);
  CHECK_THROWS_AS(load(folder / "none"), IoError);
}

TEST_CASE("tied weights stay tied, and load into a module") {
  const test::TemporaryFolder folder;
  const Tied module;
  module.in.set_label("in");
  save(folder / "t", state_dict(module));
  const NamedTensors found = load(folder / "t");
  REQUIRE(found.size() == 2);
  CHECK(found[0].tensor.value().storage == found[1].tensor.value().storage);
  module.in.fill(0);
  CHECK(load_state_dict(module, found).clean());
  CHECK(module.out[2][1].item() == 2);
}

TEST_CASE("a failed save leaves the old state") {
  const test::TemporaryFolder folder;
  save(folder / "s", some_state());
  NamedTensors wrong = some_state();
  wrong.add("ln.bias", zeros({1}));
  CHECK_THROWS_AS(save(folder / "s", wrong), Error);
  check_some_state(load(folder / "s"));
}
