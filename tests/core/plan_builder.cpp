// What a plan does of a traced graph, and in what memory: nothing twice, nothing that nobody sees.
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/elementwise.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/plan.h>

#include "tests/same_bits.h"

using namespace varve;
using varve::test::same_bits;

TEST_CASE("what depends on nothing is computed once, unless a replay changes it or it escapes") {
  Tensor kept;
  auto f = compile([&](const Tensor& x) { return x * reshape(exp(full({2, 2}, 2)), {4}); });
  auto counted = compile([&](const Tensor& x) {
    const Tensor count = full({4}, 1);
    count.assign(count + x);
    return count * 1;
  });
  auto escaping = compile([&](const Tensor& x) { return Tensors{x + 1, kept = full({4}, 3)}; });
  for (double value : {1.0, 2.0, 3.0}) {
    const Tensor x = full({4}, value);
    CHECK(same_bits(f(x), x * exp(full({4}, 2))));
    CHECK(same_bits(counted(x), x + 1));
    CHECK(same_bits(escaping(x)[1], full({4}, 3)));
    kept.fill(7);
  }
  CHECK(f.plans()[0]->calls() == 1);
  CHECK(to_string(f.plans()[0]->graph()).find("exp") == std::string::npos);
}

namespace {

struct Noted {  // as many as a has letters
  static constexpr OpName name{"test.noted", 1};
  std::string a, b;
  static void fields(auto& self, auto&& field) {
    field("a", self.a);
    field("b", self.b);
  }
  Specs infer(const Specs& in) const { return {in[0]}; }
  void run(Backend& on, Views, Views out, const View&) const {
    const auto letters = static_cast<float>(a.size());
    on.fill(out[0], &letters);
  }
};

}  // namespace

TEST_CASE("what is computed twice is computed once, unless the two could differ") {
  const Tensor w = randn({4, 4}, DType::f32, Generator(3));
  Generator generator(4), alike(4);
  struct Case {
    const char* what;
    size_t calls;
    std::function<Tensor(const Tensor&, Generator&)> f;
  };
  const Case cases[] = {
      {"alike", 2, [](const Tensor& x, Generator&) { return exp(x) * exp(x); }},
      {"chains and views", 3,
       [](const Tensor& x, Generator&) { return matmul(transpose(tanh(exp(x))), tanh(exp(x))); }},
      {"a view of the second alone", 3,
       [](const Tensor& x, Generator&) { return exp(x) + tanh(transpose(exp(x))); }},
      {"views of views of the second", 6,
       [](const Tensor& x, Generator&) {
         const Tensor second = exp(x);
         return sum(exp(x)) + reshape(slice(second, 0, 1, 3), {2, 2, 2}) * 2 + flatten(transpose(second))[1];
       }},
      {"other attributes", 3, [](const Tensor& x, Generator&) { return sum(x, {0}) + sum(x, {1}); }},
      {"zeros of other signs", 5,
       [](const Tensor& x, Generator&) { return 1 / pad(x, 0, 1, 1) + 1 / pad(x, 0, 1, 1, -0.0); }},
      {"attributes that are printed alike", 3,
       [](const Tensor& x, Generator&) {
         return apply_one(Noted{"x, b=y", "z"}, {x}) + apply_one(Noted{"x", "y, b=z"}, {x});
       }},
      {"an update between", 4,
       [&](const Tensor& x, Generator&) {
         const Tensor before = exp(w);
         w.assign(x);
         return before + exp(w);
       }},
      {"updates of the results", 6,
       [](const Tensor& x, Generator&) {
         const Tensor a = exp(x), b = exp(x);
         a.assign(x), b.assign(a);
         return b * 2 + a;
       }},
      {"random numbers", 5,
       [](const Tensor& x, Generator& g) { return dropout(x, 0.5, g) + dropout(x, 0.5, g); }},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.what));
    auto f = compile([&](const Tensor& x) { return c.f(x, generator); });
    for (uint64_t i = 0; i < 3; ++i) {
      const Tensor x = randn({4, 4}, DType::f32, Generator(i));
      const Tensor before = clone(w);
      const Tensor found = clone(f(x));
      w.assign(before);
      CHECK(same_bits(found, c.f(x, alike)));
    }
    CHECK(f.plans()[0]->calls() == c.calls);
  }
}

TEST_CASE("what is computed twice and returned twice has memory of its own") {
  auto f = compile([](const Tensor& x) { return Tensors{exp(x), exp(x)}; });
  for (double value : {1.0, 2.0, 3.0}) {
    const Tensor x = full({3}, value);
    const Tensors found = f(x);
    CHECK(same_bits(found[1], exp(x)));
    found[0].fill(7);
    CHECK(same_bits(found[1], exp(x)));
  }
}

TEST_CASE("an update of memory that two inputs share lies between what is computed before and after") {
  const auto f = [](const Tensor& x, const Tensor& y) {
    const Tensor before = exp(y);
    x.assign(x * 0.5);
    return before + exp(y);
  };
  auto compiled = compile([&](const Tensor& x, const Tensor& y) { return f(x, y); });
  for (int i = 0; i < 3; ++i) {
    const Tensor own = ones({4}), its = ones({4});
    CHECK(same_bits(compiled(own, own), f(its, its)));
    CHECK(same_bits(compiled(own, clone(own)), f(its, clone(its))));
  }
}

TEST_CASE("memory in the arena is shared by values that do not live together") {
  const auto deep = [](const Tensor& x) {
    Tensor y = x;
    for (int i = 0; i < 50; ++i) y = tanh(y);
    return y;
  };
  auto f = compile([&](const Tensor& x) { return deep(x); });
  const Tensor x = randn({5, 8}, DType::f32, Generator(3));
  CHECK(same_bits(f(x), deep(x)));
  const Tensor other = randn({5, 8}, DType::f32, Generator(4));
  CHECK(same_bits(f(other), deep(other)));
  CHECK(f.plans()[0]->arena_bytes() <= 3 * x.spec().bytes() + 128);
}

TEST_CASE("a call's scratch lies apart from its inputs and outputs") {
  // Columns are copied to scratch, a bf16 mean sums there; what goes in and comes out lies in the arena too.
  using F = Tensor (*)(const Tensor&);
  for (const F f : {F([](const Tensor& x) { return softmax(exp(x), 0) + 1.0; }),
                    F([](const Tensor& x) { return cumsum(exp(x), 0) + 1.0; }), F([](const Tensor& x) {
                      const Sorted s = sort(exp(x), 0);
                      return s.values + cast(s.indices, DType::f32);
                    }),
                    F([](const Tensor& x) { return mean(cast(exp(x), DType::bf16), {0}) + 1.0; })}) {
    auto compiled = compile([f](const Tensor& x) { return f(x); });
    for (uint64_t seed : {1, 2, 3}) {
      const Tensor x = randn({40, 30}, DType::f32, Generator(seed));
      CHECK(same_bits(compiled(x), f(x)));
    }
  }
}

TEST_CASE("calls whose results nobody sees are not replayed") {
  auto f = compile([](const Tensor& x) {
    exp(x), sin(x);
    return x + 1.0;
  });
  f(ones({3}));
  CHECK(f.plans()[0]->calls() <= 2);  // the constant and the sum
}
