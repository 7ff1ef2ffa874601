// State dicts on disk: a file of every kind opens as one.
#include <varve/io/state.h>

#include <doctest/doctest.h>

#include <array>
#include <filesystem>

#include "tests/allocations.h"
#include "tests/fixture.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

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

TEST_CASE("what is no part of the state is not loaded by name either") {
  const test::TemporaryFolder folder;
  io::Container model{"model", {}, some_state(), {}, {}};
  model.tensors.add("constant:0", zeros({3}));
  io::write(folder / "m", model);
  CHECK(contains(message_of([&] { load(folder / "m", std::array<std::string, 1>{"constant:0"}); }),
                 "'constant:0' is no part of the state"));
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

  NamedTensors apart{{found[0].name, clone(found[0].tensor)}, {found[1].name, clone(found[1].tensor)}};
  save(folder / "apart", apart);
  CHECK(load_state_dict(module, folder / "apart").clean());  // in two places, and the same
  apart[1].tensor.fill(7);
  save(folder / "apart", apart);
  CHECK_THROWS_WITH_AS(load_state_dict(module, apart), doctest::Contains("are one tensor here"), Error);
  CHECK_THROWS_WITH_AS(load_state_dict(module, folder / "apart"), doctest::Contains("are one tensor here"),
                       Error);
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

namespace {

NamedTensors blank_state(DType dtype = DType::f32) {
  return {{"ln.weight", zeros({2, 2}, dtype)}, {"ln.bias", zeros({2}, dtype)}};
}
void check_filled(const NamedTensors& state) {
  CHECK(state[0].tensor[1][0].item() == 3);
  CHECK(state[1].tensor[1].item() == 6);
}

}  // namespace

TEST_CASE("a state is loaded into tensors that are there, from a file of every kind") {
  const test::TemporaryFolder folder;
  save(folder / "s", some_state(), {io::Codec::zstd});
  io::Container model{"model", {}, some_state(), {}, {}};
  model.tensors.add("constant:0", zeros({3}));
  io::write(folder / "m", model);
  save_checkpoint(folder / "c", {.model = some_state(), .optimizer = some_state()});
  for (const char* name : {"s", "m", "c"}) {
    const NamedTensors state = blank_state();
    CHECK(load_into(state, folder / name).clean());
    check_filled(state);
  }
}

TEST_CASE("loading from a file is strict and lists everything, or takes what fits") {
  const test::TemporaryFolder folder;
  save(folder / "s", some_state());
  const NamedTensors other{{"ln.weight", zeros({2, 3})}, {"ln.bias", zeros({2})}, {"more", zeros({})}};
  const std::string message = message_of([&] { load_into(other, folder / "s"); });
  CHECK(contains(message, "missing (1): more"));
  CHECK(contains(message, "ln.weight: found f32[2, 2], required f32[2, 3]"));
  CHECK(other[1].tensor[0].item() == 0);
  const LoadReport report = load_into(other, folder / "s", {.strict = false});
  CHECK(report.missing == std::vector<std::string>{"more"});
  CHECK(report.misshapen.size() == 1);
  CHECK(other[1].tensor[0].item() == 5);
}

TEST_CASE("what is carried and not computed with is in no one's way, and fits nowhere") {
  const test::TemporaryFolder folder;
  const auto two_bytes = [] { return std::make_shared<Storage>(cpu_backend(), size_t{2}); };
  const auto kind = io::ElementKind::f8_e4m3fn;
  io::write(folder / "s", {"state_dict", {}, some_state(), {{"w8", kind, {2}, two_bytes()}}, {}});
  const NamedTensors state = blank_state();
  CHECK(contains(message_of([&] { load_into(state, folder / "s"); }), "unexpected (1): w8"));
  CHECK(load_into(state, folder / "s", {.strict = false}).unexpected == std::vector<std::string>{"w8"});
  check_filled(state);
  const NamedTensors wanted{{"w8", zeros({2})}};
  CHECK(load_into(wanted, folder / "s", {.strict = false, .cast = true}).misshapen ==
        std::vector<std::string>{"w8: found f8_e4m3fn[2], required f32[2]"});
  CHECK(contains(message_of([&] { load(folder / "s"); }), "load the others by their names"));
  CHECK(load(folder / "s", std::array<std::string, 1>{"ln.bias"}).size() == 1);
}

TEST_CASE("a file of tiny tensors takes no piece of memory much larger than itself") {
  NamedTensors tensors;
  const Tensor one = zeros({});
  for (int i = 0; i < 300'000; ++i) tensors.add(std::to_string(i), one);
  const test::TemporaryFolder folder;
  save(folder / "s", tensors);
  const size_t bytes = std::filesystem::file_size(folder / "s");
  test::allocations.largest = 0;
  CHECK(load(folder / "s").size() == tensors.size());
  CHECK(load_into(tensors, folder / "s").clean());
  CHECK(test::allocations.largest <= 4 * bytes + (size_t{16} << 20));
}

TEST_CASE("two names of one view are one target, whichever handles show it") {
  const test::TemporaryFolder folder;
  const Tensor w = zeros({2});
  save(folder / "tied", {{"a", w}, {"b", w}});
  save(folder / "untied", {{"a", full({2}, 1.0)}, {"b", full({2}, 2.0)}});
  const NamedTensors target = load(folder / "tied"), source = load(folder / "untied");
  CHECK(
      contains(message_of([&] { load_into(target, folder / "untied"); }), "'a' and 'b' are one tensor here"));
  CHECK(contains(message_of([&] { load_into(target, source); }), "'a' and 'b' are one tensor here"));
  CHECK(test::identical(target[0].tensor, zeros({2})));
}

TEST_CASE("dtypes that differ are refused, or cast on demand") {
  const test::TemporaryFolder folder;
  save(folder / "s", some_state());
  const NamedTensors state = blank_state(DType::f64);
  CHECK(contains(message_of([&] { load_into(state, folder / "s"); }),
                 "ln.bias: found f32[2], required f64[2]"));
  CHECK(load_into(state, folder / "s", {.cast = true}).clean());
  check_filled(state);
}

TEST_CASE("names are changed on the way, and an error says which change is likely meant") {
  const test::TemporaryFolder folder;
  save(folder / "s", renamed(some_state(), {Rename::prefix("", "module.")}));
  const NamedTensors state = blank_state();
  CHECK(contains(message_of([&] { load_into(state, folder / "s"); }),
                 "begin with 'module.'; rename them without"));
  CHECK(load_into(state, folder / "s", {.rename = {Rename::prefix("module.", "")}}).clean());
  check_filled(state);
  const NamedTensors deeper = renamed(state, {{"^ln", "net.$&"}});
  CHECK(deeper[0].name == "net.ln.weight");
  save(folder / "t", some_state());
  CHECK(contains(message_of([&] { load_into(deeper, folder / "t"); }), "lack 'net.' at their beginning"));
  CHECK(load_into(deeper, folder / "t", {.rename = {{"(.*)\\.(.*)", "net.$1.$2"}}}).clean());
}

TEST_CASE("a prefix is taken as it is, not as a pattern") {
  const NamedTensors state{{"a.b", zeros({})}, {"axb", zeros({})}, {"xa.b", zeros({})}};
  const NamedTensors found = renamed(state, {Rename::prefix("a.", "$1(")});
  CHECK(found[0].name == "$1(b");
  CHECK(found[1].name == "axb");
  CHECK(found[2].name == "xa.b");
}

TEST_CASE("renames that cannot be meant are refused") {
  CHECK(contains(message_of([] { renamed(some_state(), {{"(", ""}}); }), "no regular expression"));
  CHECK(contains(message_of([] {
                   renamed(some_state(), {{"ln\\..*", "x"}});
                 }),
                 "'ln.bias' becomes 'x', which is there"));
  const NamedTensors long_name{{std::string(100'000, 'a'), zeros({})}};
  CHECK_THROWS_AS(renamed(long_name, {{"a*", ""}}), Error);
}

TEST_CASE("some tensors are loaded by name, without the others being read") {
  const test::TemporaryFolder folder;
  save_checkpoint(folder / "c", {.model = some_state()});
  const std::string bias[] = {"ln.bias"}, none[] = {"ln.none"};
  const NamedTensors found = load(folder / "c", bias);
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "ln.bias");
  CHECK(found[0].tensor[0].item() == 5);
  CHECK_THROWS_WITH_AS(load(folder / "c", none), doctest::Contains("'model:ln.none'"), Error);
}
