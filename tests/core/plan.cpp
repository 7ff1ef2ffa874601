// Plans: a replay gives the bits running the function again would give, allocates nothing, and traces anew
// when something differs.
#include <doctest/doctest.h>

#include <thread>

#include <varve/core/cpu/threads.h>
#include <varve/core/members.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/elementwise.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/plan.h>
#include <varve/core/record.h>

#include "tests/allocations.h"
#include "tests/core/reference_backend.h"
#include "tests/same_bits.h"

using namespace varve;
using varve::test::same_bits;

namespace {

// A training step of two layers with dropout: forward, backward, and an update in place.
struct Trained {
  Tensor w1, w2, m1 = zeros_like(w1), m2 = zeros_like(w2), rate = full({}, 0.1, DType::f64);
  Generator generator{5};

  explicit Trained(int64_t in = 8, int64_t hidden = 16, int64_t out = 3)
      : w1(randn({in, hidden}, DType::f32, Generator(1)) * 0.1),
        w2(randn({hidden, out}, DType::f32, Generator(2)) * 0.1) {
    w1.set_requires_grad(), w2.set_requires_grad();
  }
  Tensor step(const Tensor& x, const Tensor& y) {
    w1.zero_grad(), w2.zero_grad();
    const Tensor h = dropout(relu(matmul(x, w1)), 0.25, generator);
    const Tensor loss = mean(neg(sum(log_softmax(matmul(h, w2)) * y, {1})));
    loss.backward();
    const NoGrad guard;
    apply_op(SgdStep{{0.9, 0.01, 0}}, {w1, w1.grad(), m1, rate});
    apply_op(SgdStep{{0.9, 0.01, 0}}, {w2, w2.grad(), m2, rate});
    return loss;
  }
};

Tensor batch(uint64_t seed) { return randn({5, 8}, DType::f32, Generator(seed)); }
Tensor targets(uint64_t seed) { return softmax(randn({5, 3}, DType::f32, Generator(seed + 100))); }

struct Switch {
  Mode mode;
  static void members(auto& self, auto&& visit) { visit("mode", self.mode); }
};

}  // namespace

TEST_CASE("a compiled training step gives the bits of the step itself, replay after replay") {
  Trained eager, planned;
  auto step = compile([&](const Tensor& x, const Tensor& y) { return planned.step(x, y); });
  for (uint64_t i = 0; i < 8; ++i) {
    CAPTURE(i);
    const Tensor expected = eager.step(batch(i), targets(i));
    const Tensor found = step(batch(i), targets(i));
    CHECK(same_bits(found, expected));
    CHECK(same_bits(planned.w1, eager.w1));
    CHECK(same_bits(planned.w2, eager.w2));
    CHECK(same_bits(planned.m1, eager.m1));
    CHECK(same_bits(planned.w1.grad(), eager.w1.grad()));  // what escapes is kept up to date
    CHECK(planned.generator.offset() == eager.generator.offset());
  }
  CHECK(step.plans().size() == 1);
  planned.rate.fill(0), eager.rate.fill(0);  // what changes between calls is a tensor
  CHECK(same_bits(step(batch(9), targets(9)), eager.step(batch(9), targets(9))));
  CHECK(same_bits(planned.w1, eager.w1));
}

TEST_CASE("a replay allocates nothing") {
  Trained planned;
  auto step = compile([&](const Tensor& x, const Tensor& y) { planned.step(x, y); });
  const Tensor x = batch(1), y = targets(1);
  step(x, y), step(x, y), step(x, y);  // traced, traced again, replayed by a frame of its own
  const int64_t before = test::allocations.count;
  for (int i = 0; i < 10; ++i) step(x, y);
  CHECK(test::allocations.count == before);
  CHECK(step.plans()[0]->arena_bytes() > 0);
}

TEST_CASE("nor does one of a network large enough for several threads, whoever does which part of it") {
  set_threads(3);
  for (const auto& [batch, hidden] : {std::pair{64, 256}, std::pair{256, 512}}) {
    Trained planned(784, hidden, 10);
    auto step = compile([&](const Tensor& x, const Tensor& y) { planned.step(x, y); });
    const Tensor x = randn({batch, 784}), y = softmax(randn({batch, 10}));
    step(x, y), step(x, y), step(x, y);
    const int64_t before = test::allocations.count;
    for (int i = 0; i < 10; ++i) step(x, y);
    CHECK(test::allocations.count == before);
  }
  set_threads(available_processors());
}

TEST_CASE("gradients accumulate, and are cleared, in replays as they would eagerly") {
  Tensor w = full({3}, 2), v = full({3}, 2);
  w.set_requires_grad(), v.set_requires_grad();
  auto add = compile([&](const Tensor& x) { sum(w * x).backward(); });
  const auto check = [&](double value) {
    const Tensor x = full({3}, value);
    add(x);
    sum(v * x).backward();
    REQUIRE(w.grad().defined());
    CHECK(same_bits(w.grad(), v.grad()));
  };
  for (double value : {1.0, 2.0, 3.0, 4.0}) check(value);
  w.zero_grad(), v.zero_grad();  // by the host, between calls
  for (double value : {5.0, 6.0, 7.0}) check(value);
  w.set_grad(ones({3})), v.set_grad(ones({3}));
  for (double value : {8.0, 9.0}) check(value);
}

TEST_CASE("another shape, dtype, stride or mode traces again") {
  int traced = 0;
  const Switch layer;
  auto f = compile([&](const Tensor& x) {
    ++traced;
    return layer.mode.training() ? x * 2.0 : x * 3.0;
  });
  const auto calls_of = [&](const Tensor& x) {
    const int before = traced;
    CHECK(same_bits(f(x), layer.mode.training() ? x * 2.0 : x * 3.0));
    return traced - before;
  };
  const Tensor x = cast(reshape(arange(6), {2, 3}), DType::f32);
  CHECK(calls_of(x) == 1);
  CHECK(calls_of(x + 2.0) == 1);  // each kind twice
  CHECK(calls_of(x + 1.0) == 0);
  CHECK(calls_of(ones({3, 2})) == 1);
  CHECK(calls_of(transpose(x)) == 1);
  CHECK(calls_of(cast(x, DType::f64)) == 1);
  eval(layer);
  CHECK(calls_of(x) == 1);
  train(layer);
  CHECK(calls_of(x) == 0);
  {
    const NoGrad guard;
    CHECK(calls_of(x) == 1);
  }
  CHECK(f.plans().size() == 6);
}

TEST_CASE("an input in another backend's memory traces again") {
  test::ReferenceBackend other;
  auto f = compile([](const Tensor& x) { return neg(x); });
  const Tensor x = ones({3}), elsewhere(make_value(other, x.spec()));
  elsewhere.fill(2);
  for (int i = 0; i < 2; ++i) {
    CHECK(&f(x).value().storage->backend() == &cpu_backend());
    CHECK(&f(elsewhere).value().storage->backend() == &other);
  }
  CHECK(f.plans().size() == 2);
}

TEST_CASE("what a compiled function returns is overwritten by the next call") {
  auto f = compile([](const Tensor& x) { return x * 2.0; });
  f(ones({2}));
  const Tensor second = f(full({2}, 3));
  const Tensor third = f(full({2}, 5));
  CHECK(third[0].item() == 10);
  CHECK(third.value_ptr() == second.value_ptr());
}

TEST_CASE("an input or a view of one may be returned") {
  auto same = compile([](const Tensor& x) { return x; });
  CHECK(same(full({2}, 1))[0].item() == 1);
  CHECK(same(full({2}, 2))[0].item() == 2);
  auto turned = compile([](const Tensor& x) { return transpose(x); });
  const Tensor a = reshape(arange(6), {2, 3});
  CHECK(same_bits(turned(a), transpose(a)));
  CHECK(same_bits(turned(a * 3.0), transpose(a * 3.0)));
}

TEST_CASE("a function of several results, of none, and of captured tensors") {
  const Tensor counter = zeros({1}), w = full({3}, 2);
  auto count = compile([&](const Tensor& x) { counter.assign(counter + sum(x)); });
  for (int i = 0; i < 3; ++i) count(ones({2}));
  CHECK(counter.item() == 6);
  auto both = compile([&](const Tensor& x) {
    const Sorted s = sort(x * w);
    return Tensors{s.values, s.indices, s.values[0]};
  });
  both(tensor<float>({3, 1, 2}));
  const Tensors y = both(tensor<float>({9, 8, 1}));
  CHECK(y[0][0].item() == 2);
  CHECK(y[1][0].item() == 2);
  CHECK(y[2].item() == 2);
  w.fill(1);
  CHECK(both(tensor<float>({9, 8, 1}))[0][0].item() == 1);
}

TEST_CASE("an update of an input in place reaches whatever input is given") {
  auto twice = compile([](const Tensor& x) { x.assign(x * 2.0); });
  const Tensor a = ones({2}), b = full({2}, 5);
  twice(a), twice(a), twice(b);
  CHECK(a[0].item() == 4);
  CHECK(b[1].item() == 10);
  const uint64_t version = b.value().storage->version();
  twice(b);
  CHECK(b.value().storage->version() > version);
}

TEST_CASE("writing over a kept value is noticed after a replay too") {
  const Tensor state = ones({1});
  auto bump = compile([&](const Tensor& x) { state.assign(state + x); });
  bump(ones({1}));
  Tensor p = ones({1});
  p.set_requires_grad();
  const Tensor y = p * state;
  bump(ones({1}));
  CHECK_THROWS_AS(y.backward(), Error);
}

TEST_CASE("calling a compiled function while tracing is an error") {
  auto f = compile([](const Tensor& x) { return x + 1.0; });
  CHECK_THROWS_AS(trace([&](const Tensors& in) { return Tensors{f(in[0])}; }, {ones({1})}), Error);
}

TEST_CASE("a function that throws leaves no plan and no open trace") {
  bool fail = true;
  auto f = compile([&](const Tensor& x) {
    if (fail) throw Error("not today");
    return x + 1.0;
  });
  CHECK_THROWS_AS(f(ones({1})), Error);
  CHECK(Trace::current() == nullptr);
  CHECK(f.plans().empty());
  fail = false;
  CHECK(f(ones({1})).item() == 2);
}

TEST_CASE("threads train their own models with plans of their own") {
  const auto run = [](Tensor* result) {
    Trained model;
    auto step = compile([&](const Tensor& x, const Tensor& y) { return model.step(x, y); });
    for (uint64_t i = 0; i < 20; ++i) step(batch(i), targets(i));
    *result = model.w1.detach();
  };
  Tensor alone, first, second;
  run(&alone);
  std::thread a(run, &first), b(run, &second);
  a.join(), b.join();
  CHECK(same_bits(first, alone));
  CHECK(same_bits(second, alone));
}

TEST_CASE("a replay differentiates by the leaf it is given, or traces again") {
  auto f = compile([](const Tensor& x) {
    const Tensor y = sum(x * x);
    if (x.requires_grad()) y.backward();
    return y;
  });
  Tensor a = full({2}, 3), b = full({2}, 5);
  CHECK(f(a).item() == 18);
  a.set_requires_grad(), b.set_requires_grad();
  f(a), f(b);
  CHECK(a.grad()[0].item() == 6);
  CHECK(b.grad()[0].item() == 10);
  a.zero_grad(), b.zero_grad();
  f(b);
  CHECK_FALSE(a.grad().defined());
  CHECK(b.grad()[0].item() == 10);
  CHECK(f.plans().size() == 3);
  CHECK_THROWS_AS(f(a * 2.0), Error);  // a record the replay would not see
  const NoGrad guard;
  CHECK(f(a.detach()).item() == 18);
  CHECK(f(a * 2.0).item() == 72);
}

TEST_CASE("plans make room for others") {
  auto f = compile([](const Tensor& x) { return x + 1.0; });
  for (int64_t n = 0; n < 70; ++n) CHECK(f(zeros({n})).size(0) == n);
  CHECK(f.plans().size() == 64);
  CHECK(f(zeros({0})).size(0) == 0);
}

namespace {
Tensor doubled(const Tensor& x) { return x * 2.0; }
}  // namespace

TEST_CASE("what can be called can be compiled") {
  auto function = compile(doubled);
  CHECK(function(ones({2}))[1].item() == 2);
  auto counting = compile([traced = 0](const Tensor& x) mutable { return ++traced, x + 1.0; });
  CHECK(counting(ones({1})).item() == 2);
}

TEST_CASE("what a plan returned can be given back to it") {
  const Tensor w = tensor<float>({1, 1, 1, 0}, {2, 2});
  auto fibonacci = compile([&](const Tensor& x) { return matmul(x, w); });
  Tensor y = tensor<float>({1, 0}, {1, 2});
  for (int i = 0; i < 6; ++i) y = fibonacci(y);
  CHECK(y[0][0].item() == 13);
  CHECK(y[0][1].item() == 8);
  auto pair = compile([](const Tensor& a, const Tensor& b) { return Tensors{b + 0.0, a + b}; });
  Tensors state{ones({1}), ones({1})};
  for (int i = 0; i < 6; ++i) state = pair(state[0], state[1]);
  CHECK(state[0].item() == 13);
  CHECK(state[1].item() == 21);
  CHECK(fibonacci.plans().size() <= 3);
}

TEST_CASE("inputs that share memory with what is written are traced apart") {
  auto reversed = compile([](const Tensor& a, const Tensor& b) { a.assign(flip(b, 0)); });
  const Tensor other = cast(arange(5000), DType::f32), target = zeros({5000});
  reversed(target, other);
  CHECK(target[0].item() == 4999);
  const Tensor both = clone(other);
  reversed(both, both);
  CHECK(same_bits(both, flip(other, 0)));
  const Tensor w = cast(reshape(arange(10000), {100, 100}), DType::f32), expected = clone(transpose(w));
  auto set = compile([&](const Tensor& x) { w.assign(x); });
  set(clone(w));
  set(transpose(w));
  CHECK(same_bits(w, expected));
}

TEST_CASE("a replay that throws counts as a write") {
  const Tensor state = ones({2}), p = full({1}, 3);
  auto f = compile([&](const Tensor& i) {
    state.assign(state * 10.0);
    return gather(state, 0, i);
  });
  f(tensor<int64_t>({1}));
  Tensor leaf = ones({2});
  leaf.set_requires_grad();
  const Tensor y = sum(leaf * state);
  CHECK_THROWS_AS(f(tensor<int64_t>({7})), ShapeError);
  CHECK_THROWS_AS(y.backward(), Error);
}
