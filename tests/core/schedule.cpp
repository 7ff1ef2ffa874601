// Plans whose calls are moved and done together: programs drawn at random, with views, updates in place and
// products, give the bits of an eager run; and what is done together.
#include <varve/core/cpu/threads.h>
#include <varve/core/ops/elementwise.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/plan.h>
#include <varve/core/schedule.h>

#include <functional>

#include "tests/core/parity.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr int64_t kRows = 192, kWidth = 48;

// A program over tensors [kRows, kWidth]: each step makes one of those there, or writes to one of its states.
class Program {
 public:
  explicit Program(uint64_t seed) : engine_(seed) {
    Draws draws(seed);
    for (int i = 0; i < 3; ++i) states_.push_back(draws.numbers({kRows, kWidth}, DType::f32));
    weight_ = draws.numbers({kWidth, kWidth}, DType::f32, {-0.2, 0.2});
    bias_ = draws.numbers({kWidth}, DType::f32);
    index_ = draws.indices({kRows, 1}, kRows);
    for (int i = 0; i < 30; ++i) steps_.push_back({pick(14), pick(1 << 20), pick(1 << 20)});
  }

  Tensors run(const Tensor& x) const {
    Tensors all{x};
    all.insert(all.end(), states_.begin(), states_.end());
    for (const Step& s : steps_) step(s, all);
    return {all.back(), all[all.size() / 2], sum(all.back(), {0})};
  }
  const Tensors& states() const { return states_; }

 private:
  struct Step {
    size_t kind, a, b;
  };
  size_t pick(size_t count) { return static_cast<size_t>(engine_()) % count; }

  void step(const Step& s, Tensors& all) const {
    const Tensor a = all[s.a % all.size()], b = all[s.b % all.size()];
    const Tensor& state = states_[s.a % states_.size()];
    switch (s.kind) {
      case 0:
        return all.push_back(a + b);
      case 1:
        return all.push_back(a * 0.5 - b);
      case 2:
        return all.push_back(tanh(a) + bias_);
      case 3:
        return all.push_back(tanh(matmul(a, weight_)));
      case 4:
        return all.push_back(tanh(matmul(a, weight_, false, true)));
      case 5:
        return all.push_back(softmax(a));
      case 6:
        return all.push_back(a - mean(a, {-1}, true));
      case 7:
        return all.push_back(b * sum(a, {-1}, true) * 0.01);
      case 8:
        return all.push_back(tanh(matmul(matmul(a, b, true, false), weight_))[0] + a);  // of all rows
      case 9:
        return all.push_back(flip(a, 0) + b);
      case 10:
        return all.push_back(gather(a, 0, expand(index_, {kRows, kWidth})));
      case 11:
        return all.push_back(cat({slice(a, 0, 1, kRows), slice(b, 0, 0, 1)}, 0));
      case 12:
        apply_op(Assign{}, {state, tanh(b)});
        return;
      default:
        apply_op(SgdStep{{0.5, 0.01, 0}}, {state, tanh(b), states_[s.b % states_.size()], rate_});
        return;
    }
  }

  std::mt19937_64 engine_;
  Tensors states_;
  Tensor weight_, bias_, index_, rate_ = full({}, 0.1, DType::f64);
  std::vector<Step> steps_;
};

bool all_identical(const Tensors& a, const Tensors& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!identical(a[i], b[i])) return false;
  return true;
}

}  // namespace

TEST_CASE("programs drawn at random give the same bits, planned and not") {
  const int before = threads();
  set_threads(4);  // to be cut for
  size_t grouped = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    const NoGrad guard;
    const Program eager(seed), planned(seed);
    auto plan = compile([&](const Tensor& x) { return planned.run(x); });
    Draws draws(seed + 1000);
    for (int call = 0; call < 3; ++call) {
      const Tensor x = draws.numbers({kRows, kWidth}, DType::f32);
      const Tensors expected = eager.run(x);
      CHECK(all_identical(plan(x), expected));
      CHECK(all_identical(planned.states(), eager.states()));
    }
    grouped += plan.plans()[0]->grouped_calls();
  }
  CHECK(grouped > 1000);
  set_threads(before);
}

TEST_CASE("a plan gives the same bits for however many threads it was made, and on however many it runs") {
  const int before = threads();
  Draws draws(7);
  const auto small = [&](const Shape& shape) { return draws.numbers(shape, DType::f32, {-0.2, 0.2}); };
  const Tensor x = small({8, 96, 64}), weight = small({64, 64}), wide = small({1536, 128});
  const Tensor in = small({128, 96}), out = small({96, 40});
  const auto attention = [&] {
    Tensor w = weight.detach();
    w.set_requires_grad();
    const Tensor q = matmul(x, w), y = matmul(softmax(matmul(q, x, false, true)), x);
    sum(tanh(y) * y).backward();
    return Tensors{y, w.grad()};
  };
  const auto layers = [&] { return Tensors{softmax(matmul(tanh(matmul(tanh(wide), in)), out))}; };
  const Tensors expected[] = {attention(), layers()};
  for (const int made : {1, 2, 3, 8, 17}) {
    CAPTURE(made);
    set_threads(made);
    auto first = compile(attention);
    auto second = compile(layers);
    for (const int used : {made, 2, 5}) {
      set_threads(used);
      CHECK(all_identical(first(), expected[0]));
      CHECK(all_identical(second(), expected[1]));
    }
    if (made > 1) CHECK(first.plans()[0]->grouped_calls() + second.plans()[0]->grouped_calls() > 0);
  }
  set_threads(before);
}

TEST_CASE("an input that lies elsewhere in what a plan writes is traced anew") {
  const Tensor base = full({1 + 2 * 4096, 256}, 1.5), state = slice(base, 0, 0, 4096);
  auto plan = compile([&](const Tensor& x) -> Tensor {
    const NoGrad guard;
    const Tensor t = tanh(x) * 0.5;
    apply_op(Assign{}, {state, t + 1.0});
    return t;
  });
  for (const int64_t at : {0, 1, 1000}) {
    const Tensor x = slice(base, 0, at, at + 4096), expected = tanh(x) * 0.5;
    CHECK(identical(plan(x), expected));
    CHECK(identical(state, expected + 1.0));
  }
  CHECK(plan.plans().size() == 3);
}

TEST_CASE("an empty batch has a plan") {
  auto plan = compile([](const Tensor& x) { return tanh(x * 2.0) + 1.0; });
  for (int call = 0; call < 2; ++call) CHECK(plan(zeros({0, 4})).shape() == Shape{0, 4});
}

TEST_CASE("what refuses its input does so before anything is changed, and names the first") {
  const Tensor table = ones({1000, 512}), state = zeros({8192, 512});
  auto plan = compile([&](const Tensor& index) -> Tensor {
    const NoGrad guard;
    const Tensor y = tanh(index_select(table, 0, index));
    apply_op(Assign{}, {state, y * 2.0});
    return y;
  });
  const Tensor good = zeros({8192}, DType::i64), bad = zeros({8192}, DType::i64);
  plan(good);
  const Tensor before = clone(state);
  bad.mutable_data<int64_t>()[4000] = 5000;
  bad.mutable_data<int64_t>()[6000] = 6000;
  for (int call = 0; call < 20; ++call) {
    CHECK_THROWS_WITH_AS(plan(bad), doctest::Contains("index 5000"), ShapeError);
    CHECK(identical(state, before));
  }
  CHECK(identical(plan(good), tanh(ones({8192, 512}))));
}

TEST_CASE("not all that reads a result is computed with it") {
  const Tensor x = ones({2048, 512});  // 4 MiB
  auto plan = compile([&](const Tensor& in) {
    const Tensor h = tanh(in);
    Tensor total = zeros({512});
    for (int i = 1; i <= 50; ++i) total = total + sum(h * static_cast<double>(i), {0});
    return total;
  });
  plan(x);
  CHECK(plan.plans()[0]->arena_bytes() < 10 * x.spec().bytes());
}
