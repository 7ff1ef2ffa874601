// The walk over modules, through library layers and user structs alike: names, state, modes, clones, ties.
#include <varve/core/members.h>

#include <doctest/doctest.h>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/random.h>
#include <varve/core/record.h>
#include <varve/nn/activation.h>
#include <varve/nn/dropout.h>
#include <varve/nn/flatten.h>
#include <varve/nn/linear.h>
#include <varve/nn/list.h>
#include <varve/nn/sequential.h>

#include "tests/copied.h"
#include "tests/fixture.h"

using namespace varve;
using test::copied;

namespace {

struct Block {
  nn::Linear inner{3, 3};
  Tensor running = zeros({3});
  nn::Dropout drop{0.5};
  Tensor operator()(const Tensor& x) const { return drop(inner(x)) + running; }
  static void members(auto& self, auto&& visit) {
    visit("inner", self.inner);
    visit("running", self.running, kBuffer);
    visit("drop", self.drop);
  }
};

struct Model {
  nn::Linear in{4, 3};
  nn::List<Block> blocks{2, [] { return Block(); }};
  std::optional<nn::Linear> extra;
  std::vector<nn::Linear> heads;
  nn::Sequential<nn::ReLU, nn::Sequential<nn::Linear, nn::Tanh>, nn::Linear> out{
      nn::ReLU{}, nn::Sequential{nn::Linear{3, 5, false}, nn::Tanh{}}, nn::Linear{5, 2}};
  static void members(auto& self, auto&& visit) {
    visit("in", self.in);
    visit("blocks", self.blocks);
    visit("extra", self.extra);
    visit("heads", self.heads);
    visit("out", self.out);
  }
};

struct Tied {
  nn::Linear encode{4, 4, false}, decode{4, 4};
  Tied() { decode.weight = encode.weight; }
  static void members(auto& self, auto&& visit) {
    visit("encode", self.encode);
    visit("decode", self.decode);
  }
};

std::vector<std::string> names(const NamedTensors& tensors) {
  std::vector<std::string> out;
  for (const NamedTensor& t : tensors) out.push_back(t.name);
  return out;
}

bool identical(const NamedTensors& a, const NamedTensors& b) {
  return names(a) == names(b) && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return test::identical(x.tensor, y.tensor);
         });
}

using Names = std::vector<std::string>;

struct Pair {
  Tensor a = ones({3}), b = a;
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
  }
};

struct ManyNames {  // of which two are of one tensor, again and again
  Tensor a = full({3}, 1), b = full({3}, 2), c = full({3}, 3);
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
    visit("head", self.b);
    visit("c", self.c);
    visit("tail", self.c);
  }
};

}  // namespace

TEST_CASE("names follow the members, through lists, sequences and optionals") {
  Model model;
  const Names parameters{"in.weight",
                         "in.bias",
                         "blocks.0.inner.weight",
                         "blocks.0.inner.bias",
                         "blocks.1.inner.weight",
                         "blocks.1.inner.bias",
                         "out.1.0.weight",
                         "out.2.weight",
                         "out.2.bias"};
  CHECK(names(named_parameters(model)) == parameters);
  CHECK(names(named_buffers(model)) == Names{"blocks.0.running", "blocks.1.running"});
  CHECK(names(state_dict(model)).size() == parameters.size() + 2);

  model.extra = nn::Linear(1, 1, false);
  model.heads.emplace_back(2, 1);
  const Names more = names(named_parameters(model));
  CHECK(std::count(more.begin(), more.end(), "extra.weight") == 1);
  CHECK(std::count(more.begin(), more.end(), "heads.0.bias") == 1);
  CHECK(names(named_parameters(model.blocks)).front() == "0.inner.weight");
}

TEST_CASE("parameters are counted, labelled and tabled") {
  const Model model;
  CHECK(count_parameters(model) == 15 + 2 * 12 + 15 + 12);
  label(model);
  CHECK(model.blocks[1].inner.weight.label() == "blocks.1.inner.weight");
  CHECK(model.blocks[0].running.label() == "blocks.0.running");
  const std::string table = summary(model);
  for (const MemberEntry& e : member_entries(model)) CHECK(table.find(e.name) != std::string::npos);
  CHECK(table.find("66") != std::string::npos);
}

TEST_CASE("modules of a list are different ones") {
  const nn::List<nn::Linear> by_index(3, [](size_t i) { return nn::Linear(2, static_cast<int64_t>(i) + 1); });
  CHECK(by_index.size() == 3);
  CHECK(by_index[2].weight.shape() == Shape{3, 2});
  const Model model;
  CHECK(model.blocks[0].inner.weight.value_ptr() != model.blocks[1].inner.weight.value_ptr());
}

TEST_CASE("a sequence feeds each layer with the one before") {
  manual_seed(1);
  const nn::Sequential both{nn::Flatten{}, nn::Linear{6, 4}, nn::ReLU{}, nn::Linear{4, 2}};
  const Tensor x = randn({5, 2, 3});
  const auto& first = std::get<1>(both.layers);
  const auto& second = std::get<3>(both.layers);
  CHECK(test::identical(both(x), second(relu(first(reshape(x, {5, 6}))))));
  CHECK(names(named_parameters(both)) == Names{"1.weight", "1.bias", "3.weight", "3.bias"});
}

TEST_CASE("a state loaded into another model makes it compute the same") {
  manual_seed(1);
  const nn::Sequential a{nn::Linear{6, 4}, nn::GELU{}, nn::Linear{4, 2}};
  const nn::Sequential b{nn::Linear{6, 4}, nn::GELU{}, nn::Linear{4, 2}};
  const Tensor x = randn({5, 6});
  REQUIRE_FALSE(test::identical(a(x), b(x)));
  CHECK(load_state_dict(b, state_dict(a)).clean());
  CHECK(test::identical(a(x), b(x)));
}

TEST_CASE("a strict load that does not fit lists everything and changes nothing") {
  const Model model;
  const NamedTensors before = copied(state_dict(model));
  NamedTensors state = copied(state_dict(model));
  for (NamedTensor& t : state) t.tensor = t.tensor + 1;
  state[0].name = "misspelt.weight";
  state[1].tensor = zeros({7});
  state.add("unknown", zeros({1}));
  try {
    load_state_dict(model, state);
    FAIL("loaded");
  } catch (const Error& e) {
    const std::string what = e.what();
    for (const char* part : {"missing (1): in.weight", "unexpected (2): misspelt.weight, unknown",
                             "misshapen (1): in.bias: found f32[7], required f32[3]"})
      CHECK_MESSAGE(what.find(part) != std::string::npos, what);
  }
  CHECK(identical(state_dict(model), before));
  const LoadReport report = load_state_dict(model, state, false);
  CHECK(report.misshapen == std::vector<std::string>{"in.bias: found f32[7], required f32[3]"});
  CHECK(report.missing.size() == 1);
  CHECK(report.unexpected.size() == 2);
}

TEST_CASE("a load that is not strict takes what fits and reports the rest") {
  const Model model;
  NamedTensors state;
  state.add("in.bias", full({3}, 5));
  state.add("unknown", zeros({1}));
  const LoadReport report = load_state_dict(model, state, false);
  CHECK(report.unexpected == Names{"unknown"});
  CHECK(report.missing.size() == state_dict(model).size() - 1);
  CHECK(test::identical(*model.in.bias, full({3}, 5)));
}

TEST_CASE("train and eval reach every mode, and dropout obeys") {
  const Model model;
  const Tensor x = ones({1000});
  const nn::Dropout& drop = model.blocks[1].drop;
  CHECK(drop.mode.training());
  const Tensor dropped = drop(x);
  const auto values = dropped.data<float>();
  const auto zeroed = std::count(values.begin(), values.end(), 0.f);
  CHECK(zeroed > 400);
  CHECK(zeroed < 600);
  CHECK(zeroed + std::count(values.begin(), values.end(), 2.f) == 1000);
  eval(model);
  CHECK_FALSE(model.blocks[0].drop.mode.training());
  CHECK(drop(x).value_ptr() == x.value_ptr());
  train(model);
  CHECK(drop.mode.training());
}

TEST_CASE("a copy shares tensors and modes, a clone has its own") {
  const Model model;
  const Model copy = model, own = clone(model);
  CHECK(identical(state_dict(own), state_dict(model)));
  CHECK(copy.in.weight.value_ptr() == model.in.weight.value_ptr());
  CHECK(own.in.weight.value_ptr() != model.in.weight.value_ptr());
  CHECK(own.in.weight.requires_grad());
  CHECK_FALSE(own.blocks[0].running.requires_grad());
  eval(model);
  CHECK_FALSE(copy.blocks[0].drop.mode.training());
  CHECK(own.blocks[0].drop.mode.training());
  no_grad([&] { model.in.weight.fill(0); });
  CHECK(test::identical(copy.in.weight, zeros({3, 4})));
  CHECK_FALSE(test::identical(own.in.weight, zeros({3, 4})));
}

TEST_CASE("tied tensors are one parameter with two names, in clones too") {
  const Tied model;
  CHECK(names(named_parameters(model)) == Names{"encode.weight", "decode.bias"});
  CHECK(names(state_dict(model)) == Names{"encode.weight", "decode.weight", "decode.bias"});
  CHECK(count_parameters(model) == 20);
  CHECK(member_entries(model)[1].alias_of == "encode.weight");
  CHECK(summary(model).find("encode.weight", summary(model).find("decode.weight")) != std::string::npos);
  const Tied own = clone(model);
  CHECK(own.encode.weight.value_ptr() == own.decode.weight.value_ptr());
  CHECK(own.encode.weight.value_ptr() != model.encode.weight.value_ptr());
}

TEST_CASE("backward fills the gradients of a module and zero_grad clears them") {
  const Tied model;
  model.decode(model.encode(ones({2, 4}))).backward(ones({2, 4}));
  for (const Tensor& t : parameters(model)) CHECK(t.grad().defined());
  zero_grad(model);
  for (const Tensor& t : parameters(model)) CHECK_FALSE(t.grad().defined());
}

TEST_CASE("a module can be frozen, and its clones keep their names") {
  nn::Linear layer(2, 3);
  set_requires_grad(layer, false);
  for (const Tensor& p : parameters(layer)) CHECK_FALSE(p.requires_grad());
  set_requires_grad(layer);
  for (const Tensor& p : parameters(layer)) CHECK(p.requires_grad());
  label(layer);
  CHECK(clone(layer).weight.label() == "weight");
}

TEST_CASE(
    "a module goes to another dtype with its ties, names and what is trained; what counts stays whole") {
  const auto check_halved = [](const Tensor& t, const Tensor& before) {
    CHECK(test::identical(t.detach(), cast(before.detach(), DType::bf16)));
    CHECK(t.is_leaf());
    CHECK(t.requires_grad() == before.requires_grad());
    CHECK(t.label() == before.label());
  };
  Tied model;
  label(model);
  model.decode.bias->set_requires_grad(false);
  const Tied before = model;
  to(model, DType::bf16);
  check_halved(model.encode.weight, before.encode.weight);
  check_halved(*model.decode.bias, *before.decode.bias);
  CHECK(model.encode.weight.value_ptr() == model.decode.weight.value_ptr());
  CHECK(before.encode.weight.dtype() == DType::f32);
  model.encode.weight.set_grad(model.encode.weight.detach());
  to(model, DType::bf16);  // the same leaf
  CHECK(model.encode.weight.grad().defined());

  Block block;
  block.running = zeros({3}, DType::i64);
  to(block, DType::f16);
  CHECK(block.running.dtype() == DType::i64);
  CHECK_THROWS_AS(to(block, DType::i32), DTypeError);
}

TEST_CASE("a module whose members have several names is moved as one, and as it was where that fails") {
  ManyNames names;
  to(names, DType::bf16);
  CHECK(names.a.detach()[0].item() == 1);
  CHECK(names.b.detach()[0].item() == 2);
  CHECK(names.c.detach()[0].item() == 3);
  const ManyNames others = clone(ManyNames());
  CHECK(others.b.detach()[0].item() == 2);
  CHECK(others.c.detach()[0].item() == 3);

  ManyNames more;
  const auto refusing = [](const Tensor& t) -> Tensor {
    if (t[0].item() == 3) throw Error("no room");
    return t * 2.0;
  };
  CHECK_THROWS_AS(detail::move(more, {refusing}), Error);
  CHECK(more.a.detach()[0].item() == 1);
}

TEST_CASE("tied handles thaw as one leaf") {
  Pair pair;
  for (const bool on : {true, false, true}) set_requires_grad(pair, on);
  sum(pair.a * 2.0 + pair.b * 3.0).backward();
  CHECK(pair.a.grad()[0].item() == 5);
  CHECK(pair.b.grad()[0].item() == 5);
}

TEST_CASE("state is exchanged as it was, though the sources are the targets") {
  const NamedTensors target{{"a", ones({2})}, {"b", full({2}, 2)}};
  load_into(target, {{"a", target[1].tensor}, {"b", target[0].tensor}});
  CHECK(target[0].tensor[0].item() == 2);
  CHECK(target[1].tensor[0].item() == 1);
}

TEST_CASE("functions and sequences are layers of a sequence") {
  const nn::Sequential inner{nn::Linear(2, 3), [](const Tensor& x) { return x * 2.0; }};
  const nn::Sequential outer{inner};
  CHECK(state_dict(outer)[0].name == "0.0.weight");
  CHECK(outer(ones({1, 2})).size(1) == 3);
}
