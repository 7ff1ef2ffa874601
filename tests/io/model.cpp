// Whole models: what is loaded is what was saved, bit for bit, at every batch size, and trains on.
#include <varve/io/model.h>

#include <doctest/doctest.h>

#include <cstring>

#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>
#include <varve/io/state.h>

#include "tests/io/temporary_folder.h"
#include "tests/message.h"
#include "tests/same_bits.h"

using namespace varve;
using varve::test::same_bits;

namespace {

Tensor parameter(const Shape& shape) { return randn(shape).set_requires_grad(); }

struct Layer {
  Tensor weight, bias;
  Layer(int64_t in, int64_t out) : weight(parameter({out, in})), bias(parameter({out})) {}
  Tensor operator()(const Tensor& x) const { return matmul(x, weight, false, true) + bias; }
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

struct Mlp {
  Layer ln1{12, 16}, ln2{16, 5};
  Mode mode;
  Tensor operator()(const Tensor& x) const {
    const Tensor h = relu(ln1(flatten(x, 1)));
    return ln2(mode.training() ? dropout(h, 0.25) : h);
  }
  static void members(auto& self, auto&& visit) {
    visit("ln1", self.ln1);
    visit("ln2", self.ln2);
    visit("mode", self.mode);
  }
};

// x - its running mean in eval; in training x - the batch's, which the running mean follows.
struct Centred {
  Tensor running_mean = zeros({3});
  Tensor scale = parameter({3});
  Mode mode;
  Tensor operator()(const Tensor& x) const {
    if (!mode.training()) return (x - running_mean) * scale;
    const Tensor batch_mean = mean(x, {0});
    no_grad([&] { running_mean.assign(running_mean * 0.9 + batch_mean * 0.1); });
    return (x - batch_mean) * scale;
  }
  static void members(auto& self, auto&& visit) {
    visit("running_mean", self.running_mean, kBuffer);
    visit("scale", self.scale);
    visit("mode", self.mode);
  }
};

struct Reserved {
  Tensor constant = parameter({3});
  Tensor operator()(const Tensor& x) const { return x * constant; }
  static void members(auto& self, auto&& visit) { visit("constant:0", self.constant); }
};

struct Tied {
  Tensor in = parameter({7, 4}), out = in;
  Tensor operator()(const Tensor& index) const { return matmul(embedding(in, index), out, false, true); }
  static void members(auto& self, auto&& visit) {
    visit("in", self.in);
    visit("out", self.out);
  }
};

struct Scaled {  // row by row
  Tensor scale = parameter({3, 1});
  Tensor operator()(const Tensor& x) const { return x * scale; }
  static void members(auto& self, auto&& visit) { visit("scale", self.scale); }
};

struct TwoInTwoOut {
  Tensor weight = parameter({4, 4});
  Tensor table = arange(0, 4, 1, DType::f32);  // no member: a constant
  Tensors operator()(const Tensor& x, const Tensor& y) const { return {matmul(x, weight) + y, x * table}; }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

struct BakedIn {
  Tensor weight = parameter({12, 2});
  Tensor operator()(const Tensor& x) const { return matmul(reshape(x, {8, 12}), weight); }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

struct Forgetful {  // does not visit its bias
  Tensor weight = parameter({3, 3}), bias = parameter({3});
  Tensor operator()(const Tensor& x) const { return matmul(x, weight) + bias; }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

struct Prepared {  // uses a view of its weight that it made beforehand
  Tensor weight = parameter({3, 4}), turned = transpose(weight);
  Tensor operator()(const Tensor& x) const { return matmul(x, turned); }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

struct Counting {  // does not visit what it writes to
  Tensor calls = zeros({});
  Tensor operator()(const Tensor& x) const {
    calls.assign(calls + 1.0);
    return x + calls;
  }
  static void members(auto&, auto&&) {}
};

struct Noisy {  // throws once it has drawn from the generator
  Mode mode;
  Tensor operator()(const Tensor& x) const {
    const Tensor y = dropout(x, 0.5);
    if (!mode.training()) throw Error("noisy: on purpose");
    return y;
  }
  static void members(auto& self, auto&& visit) { visit("mode", self.mode); }
};

using Folder = test::TemporaryFolder;

bool same_state(const NamedTensors& a, const NamedTensors& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].name != b[i].name || !same_bits(a[i].tensor, b[i].tensor)) return false;
  return true;
}

template <class M>
double sgd_step(const M& model, const Tensor& x, const Tensor& target) {
  zero_grad(model);
  const Tensor error = model(x) - target;
  const Tensor loss = mean(error * error);
  loss.backward();
  no_grad([&] {
    for (const Tensor& p : parameters(model)) p.assign(p - p.grad() * 0.05);
  });
  return loss.item();
}

}  // namespace

TEST_CASE("names that the file keeps for itself are refused") {
  CHECK_THROWS_WITH_AS(trace_model(Reserved(), {ones({2, 3})}), doctest::Contains("rename the member"),
                       Error);
}

TEST_CASE("a loaded model predicts at any batch size what the struct predicts, bit for bit") {
  const Folder folder;
  manual_seed(1);
  const Mlp mlp;
  save_model(folder / "mlp.varve", mlp, {zeros({64, 3, 4})});
  const Model model = load_model(folder / "mlp.varve");
  eval(mlp);
  eval(model);
  for (int64_t n : {1, 2, 7, 64, 131, 200}) {
    const Tensor x = randn({n, 3, 4});
    CHECK(same_bits(model(x), mlp(x)));
  }
}

TEST_CASE("a loaded model trains as the struct does, random numbers included") {
  const Folder folder;
  manual_seed(2);
  const Mlp mlp;
  save_model(folder / "mlp.varve", mlp, {zeros({64, 3, 4})});
  const Model model = load_model(folder / "mlp.varve");
  const Tensor x = randn({9, 3, 4}), target = randn({9, 5});
  for (int step = 0; step < 4; ++step) {
    manual_seed(10 + static_cast<uint64_t>(step));
    const double expected = sgd_step(mlp, x, target);
    manual_seed(10 + static_cast<uint64_t>(step));
    CHECK(sgd_step(model, x, target) == expected);
    CHECK(same_state(state_dict(model), state_dict(mlp)));
  }
  eval(model);
  const double before = mean(model(x)).item();
  save_model(folder / "again.varve", model);
  const Model again = load_model(folder / "again.varve");
  eval(again);
  CHECK(mean(again(x)).item() == before);
  CHECK(again.container().meta == model.container().meta);
}

TEST_CASE("a loaded model can be saved like any module, with examples") {
  manual_seed(3);
  const Mlp mlp;
  const Model model = trace_model(mlp, {zeros({4, 3, 4})});
  const Model traced = trace_model(model, {zeros({4, 3, 4})});
  eval(mlp);
  eval(traced);
  const Tensor x = randn({6, 3, 4});
  CHECK(same_bits(traced(x), mlp(x)));
}

TEST_CASE("state passes from the struct to the model and back") {
  manual_seed(4);
  const Mlp a, b;
  const Model model(trace_model(a, {zeros({2, 3, 4})}).container());
  const Model own = clone(model);
  CHECK(load_state_dict(own, state_dict(b)).clean());
  CHECK(same_state(state_dict(own), state_dict(b)));
  CHECK_FALSE(same_state(state_dict(model), state_dict(b)));
  CHECK(load_state_dict(b, state_dict(model)).clean());
  CHECK(same_state(state_dict(b), state_dict(a)));
  CHECK(summary(model) == summary(a));
}

TEST_CASE("a clone of a model has tensors of its own, which its graphs use") {
  manual_seed(5);
  const Model model = trace_model(Mlp(), {zeros({2, 3, 4})});
  const Model copy = clone(model);
  eval(model);
  const Tensor x = randn({3, 3, 4}), before = model(x);
  no_grad([&] {
    for (const Tensor& p : parameters(copy)) p.fill(0);
  });
  eval(copy);
  CHECK(same_bits(model(x), before));
  CHECK(same_bits(copy(x), zeros({3, 5})));
}

TEST_CASE("a compiled step over a loaded model gives the bits of the eager struct") {
  manual_seed(6);
  const Mlp mlp;
  const Model model = clone(trace_model(mlp, {zeros({8, 3, 4})}));
  auto step = compile([&](const Tensor& x, const Tensor& target) {
    zero_grad(model);
    const Tensor error = model(x) - target;
    const Tensor loss = mean(error * error);
    loss.backward();
    no_grad([&] {
      for (const Tensor& p : parameters(model)) p.assign(p - p.grad() * 0.05);
    });
    return loss;
  });
  for (uint64_t i = 0; i < 5; ++i) {
    const Tensor x = randn({8, 3, 4}), target = randn({8, 5});
    manual_seed(100 + i);
    const double expected = sgd_step(mlp, x, target);
    manual_seed(100 + i);
    CHECK(step(x, target).item() == expected);
    CHECK(same_state(state_dict(model), state_dict(mlp)));
  }
  CHECK(step.plans().size() == 1);
}

TEST_CASE("tied weights stay tied") {
  const Folder folder;
  manual_seed(7);
  const Tied tied;
  save_model(folder / "tied.varve", tied, {zeros({3, 2}, DType::i64)});
  const Model model = load_model(folder / "tied.varve");
  io::Container apart = model.container();
  apart.tensors[1].tensor = clone(apart.tensors[1].tensor);
  CHECK(contains(message_of([&] { Model{apart}; }), "is another name of 'in', and has another tensor"));
  CHECK(count_parameters(model) == 28);
  CHECK(member_entries(model)[1].alias_of == "in");
  CHECK(load_state_dict(model, load(folder / "tied.varve")).clean());
  const Tensor index = tensor<int64_t>({0, 6, 3, 3, 1, 2, 5, 4, 0, 1}, {5, 2});
  const Tensor target = randn({5, 2, 7});
  for (int i = 0; i < 3; ++i) CHECK(sgd_step(model, index, target) == sgd_step(tied, index, target));
  CHECK(same_state(state_dict(model), state_dict(tied)));
}

TEST_CASE("a buffer is updated in training, and neither saving nor evaluating changes it") {
  const Folder folder;
  manual_seed(8);
  const Centred centred;
  no_grad([&] { centred.running_mean.assign(randn({3})); });
  const Tensor before = clone(centred.running_mean);
  save_model(folder / "centred.varve", centred, {randn({4, 3})});
  CHECK(same_bits(centred.running_mean, before));
  const Model model = load_model(folder / "centred.varve");
  CHECK(named_buffers(model).size() == 1);
  CHECK(same_state(state_dict(model), state_dict(centred)));
  const Tensor target = randn({6, 3});
  for (int i = 0; i < 3; ++i) {
    const Tensor x = randn({6, 3});
    CHECK(sgd_step(model, x, target) == sgd_step(centred, x, target));
  }
  CHECK_FALSE(same_bits(centred.running_mean, before));
  CHECK(same_state(state_dict(model), state_dict(centred)));
  eval(model);
  eval(centred);
  const Tensor x = randn({2, 3}), trained = clone(centred.running_mean);
  CHECK(same_bits(model(x), centred(x)));
  CHECK(same_bits(*state_dict(model).find("running_mean"), trained));
}

TEST_CASE("several inputs and outputs, names and constants are kept") {
  const Folder folder;
  manual_seed(9);
  const TwoInTwoOut two;
  const Tensors in{randn({5, 4}), randn({5, 4})};
  save_model(folder / "two.varve", two, in, {0, {"left", "right"}, {"sum", "scaled"}});
  const Model model = load_model(folder / "two.varve");
  CHECK(model.inputs() == std::vector<std::string>{"left", "right"});
  CHECK(model.outputs() == std::vector<std::string>{"sum", "scaled"});
  const Tensors x{randn({1, 4}), randn({1, 4})}, expected = two(x[0], x[1]), found = model(x);
  CHECK(same_bits(found[0], expected[0]));
  CHECK(same_bits(found[1], expected[1]));
  CHECK(contains(message_of([&] { model(x[0]); }), "2 outputs"));
  CHECK(contains(message_of([&] { model(Tensors{x[0]}); }), "1 inputs given, 2 required"));
  CHECK(contains(message_of([&] { model({x[0], in[1]}); }), "batch axis"));
  CHECK(contains(message_of([&] {
                   model({x[0], zeros({1, 3})});
                 }),
                 "'right' is f32[1, 3]; required is f32[1, 4]"));
  CHECK(contains(message_of([&] { trace_model(two, {in[0]}); }), "1 inputs given, 2 required"));
  CHECK(contains(message_of([&] { trace_model(two, in, {0, {"left"}, {}}); }), "1 inputs"));
  CHECK(contains(message_of([&] {
                   trace_model(two, in, {0, {"x", "x"}, {}});
                 }),
                 "'x', 'x' are not distinct"));
  CHECK(contains(message_of([&] { trace_model(two, in, {0, {}, {"y", ""}}); }), "name each output"));
  CHECK_FALSE(load(folder / "two.varve").find("constant:0"));
}

TEST_CASE("a size that is baked in is an error that names the op") {
  const std::string message = message_of([] { trace_model(BakedIn(), {zeros({8, 3, 4})}); });
  CHECK(contains(message, "reshape"));
  CHECK(contains(message, "flatten(x, 1)"));
}

TEST_CASE("what the model uses and does not visit is an error that names the op") {
  const std::string missing = message_of([] { trace_model(Forgetful(), {zeros({2, 3})}); });
  CHECK(contains(missing, "add()"));
  CHECK(contains(missing, "f32[3]"));
  CHECK(contains(missing, "members()"));
  CHECK(contains(message_of([] { trace_model(Prepared(), {zeros({2, 4})}); }), "matmul("));
  CHECK(contains(message_of([] { trace_model(Counting(), {zeros({2, 3})}); }), "buffer"));
}

TEST_CASE("saving leaves modes and the generator alone, also when it fails") {
  const Mlp mlp;
  const Noisy noisy;
  for (bool training : {true, false}) {
    train(mlp, training);
    train(noisy, training);
    default_generator().set(11, 22);
    trace_model(mlp, {zeros({4, 3, 4})});
    CHECK(contains(message_of([&] { trace_model(noisy, {zeros({4, 3})}); }), "on purpose"));
    CHECK(default_generator().seed() == 11);
    CHECK(default_generator().offset() == 22);
    CHECK(mlp.mode.training() == training);
    CHECK(noisy.mode.training() == training);
  }
}

TEST_CASE("a file that is no model is an Error that names the file") {
  const Folder folder;
  const std::string path = folder / "state.varve";
  save(path, state_dict(Mlp()));
  const std::string message = message_of([&] { load_model(path); });
  CHECK(contains(message, path));
  CHECK(contains(message, "'state_dict'"));
}

TEST_CASE("nothing is saved or loaded by halves: tracing is over before the file is touched") {
  const Folder folder;
  const std::string path = folder / "model.varve";
  save_model(path, Centred(), {zeros({4, 3})});
  CHECK_THROWS_AS(save_model(path, Forgetful(), {zeros({4, 3})}), Error);
  CHECK(member_entries(load_model(path)).size() == 2);
}

TEST_CASE("the batch axis is the one that is asked for") {
  const Model columns = trace_model(Scaled(), {zeros({3, 4})}, {1, {}, {}});
  const Scaled scaled;
  load_state_dict(columns, state_dict(scaled));
  const Tensor x = randn({3, 9});
  CHECK(same_bits(columns(x), scaled(x)));
  CHECK(contains(message_of([&] { columns(randn({4, 9})); }), "required is f32[3, 9]"));
  CHECK(contains(message_of([] { trace_model(Centred(), {zeros({4, 3})}, {1, {}, {}}); }), "broadcast"));
  CHECK(contains(message_of([] {
                   trace_model(Centred(), {zeros({4, 3})}, {2, {}, {}});
                 }),
                 "no input has a batch axis"));
}
