// The record and the sweep back through it: what is kept, summed, freed, refused, and how deep it may be.
#include <doctest/doctest.h>

#include <cmath>

#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/plan.h>
#include <varve/core/record.h>

#include "tests/message.h"

using namespace varve;

namespace {
constexpr int kLongChain = VARVE_SANITIZED ? 100'000 : 1'000'000;  // sanitizers make it 20 times as slow

Tensor leaf(std::initializer_list<double> values) {
  Tensor x = tensor<double>(values);
  x.set_requires_grad();
  return x;
}
}  // namespace

TEST_CASE("gradients of several sweeps and of several uses add up") {
  const Tensor x = leaf({3});
  (x * x + x).backward();
  CHECK(x.grad().item() == 7);
  (x * 2.0).backward();
  CHECK(x.grad().item() == 9);
  x.zero_grad();
  CHECK_FALSE(x.grad().defined());
  (x * 2.0).backward();
  CHECK(x.grad().item() == 2);
}

TEST_CASE("a gradient is memory of its own, not the seed's or another leaf's") {
  const Tensor a = leaf({1}), b = leaf({1}), seed = tensor<double>({5});
  (a + b).backward(seed);
  seed.fill(0);
  a.grad().fill(100);
  CHECK(b.grad().item() == 5);
  CHECK(a.grad().item() == 100);
  const Tensor c = leaf({1}), d = leaf({2}), both = tensor<double>({3, 4});
  cat({c, d}).backward(both);  // each gets a view of the seed
  both.fill(0);
  CHECK(c.grad().item() == 3);
  CHECK(d.grad().item() == 4);
}

TEST_CASE("broadcasting is undone") {
  Tensor a = ones({2, 1, 3}, DType::f64), b = ones({4, 1}, DType::f64), c = ones({}, DType::f64);
  for (Tensor* t : {&a, &b, &c}) t->set_requires_grad();
  sum(a * b + c).backward();
  CHECK(a.grad().shape() == a.shape());
  CHECK(b.grad().shape() == b.shape());
  CHECK(sum(a.grad()).item() == 24);
  CHECK(b.grad()[0][0].item() == 6);
  CHECK(c.grad().item() == 24);
}

TEST_CASE("a cast passes gradients back in the type they came from") {
  Tensor x = ones({3}, DType::f32);
  x.set_requires_grad();
  sum(cast(x, DType::f64) * 2.0).backward();
  CHECK(x.grad().dtype() == DType::f32);
  CHECK(x.grad()[0].item() == 2);
  CHECK_FALSE(cast(x, DType::i64).requires_grad());
}

TEST_CASE("a sweep frees what was kept, unless told to retain it") {
  const Tensor x = leaf({2});
  const Tensor y = exp(x);
  y.backward({}, true);
  y.backward();
  CHECK(x.grad().item() == doctest::Approx(2 * std::exp(2.0)));
  CHECK(contains(message_of([&] { y.backward(); }), "exp"));
  CHECK(contains(message_of([&] { y.backward(); }), "freed"));
  const Tensor z = x + x;  // nothing is kept, so nothing is freed
  z.backward();
  z.backward();
}

TEST_CASE("changing a kept value in place before backward is an error that names the op") {
  const Tensor x = leaf({2}), w = tensor<double>({3});
  w.set_label("gate");
  const Tensor y = x * w;
  w.fill(4);
  const std::string message = message_of([&] { y.backward(); });
  CHECK(contains(message, "mul"));
  CHECK(contains(message, "gate"));
  const Tensor v = tensor<double>({3}), z = x + v;  // add keeps nothing
  v.fill(4);
  z.backward();
  CHECK(x.grad().item() == 1);
  const Tensor parts = tensor<double>({1, 2}), used = x * parts[0];
  parts[1].fill(9);  // a version counts for the whole memory: a false alarm is better than a wrong gradient
  CHECK_THROWS_AS(used.backward(), Error);
}

TEST_CASE("writing in place where a gradient is required is an error, but not under no_grad") {
  const Tensor x = leaf({1, 2});
  CHECK_THROWS_AS(x.fill(0), Error);
  CHECK_THROWS_AS((x * 2.0).assign(ones({2})), Error);
  no_grad([&] { x.fill(5); });
  CHECK(x[1].item() == 5);
  x.detach().fill(6);
  CHECK(x[1].item() == 6);
}

TEST_CASE("no_grad and detach record nothing") {
  const Tensor x = leaf({2});
  CHECK_FALSE(no_grad([&] { return x * x; }).requires_grad());
  CHECK(grad_enabled());
  CHECK_FALSE((x.detach() * 2.0).requires_grad());
  (x * x.detach()).backward();
  CHECK(x.grad().item() == 2);
  {
    const NoGrad outer;
    const GradMode inner(true);
    CHECK((x * x).requires_grad());
  }
  CHECK_THROWS_AS(x.detach().backward(), Error);
}

TEST_CASE("what is assigned in place loses no gradient in silence") {
  const Tensor x = leaf({1, 2}), out = zeros({2}, DType::f64);
  CHECK_THROWS_AS(out.assign(x * 2.0), Error);
  out.assign((x * 2.0).detach());
  no_grad([&] { out.assign(x); });
  CHECK(out[1].item() == 2);
}

TEST_CASE("a frozen leaf is one for all its handles, and the same one once it thaws") {
  Tensor x = leaf({1, 2});
  const Tensor other = x, apart = x.detach();
  sum(x * x).backward();
  x.set_requires_grad(false);
  for (const Tensor& t : {x, other}) {
    CHECK_FALSE(t.requires_grad());
    CHECK_FALSE((t * 2.0).requires_grad());
    CHECK_FALSE(t.grad().defined());
    CHECK_THROWS_AS(t.set_grad(ones({2}, DType::f64)), Error);
  }
  x.set_requires_grad();
  CHECK(other.requires_grad());
  CHECK_FALSE(apart.requires_grad());
  sum(x * 3.0).backward();
  CHECK(other.grad()[0].item() == 3);
}

TEST_CASE("leaves, and what may be one") {
  Tensor x = leaf({1});
  CHECK(x.is_leaf());
  CHECK_FALSE((x * 2.0).is_leaf());
  CHECK_FALSE((x * 2.0).grad().defined());
  x.set_requires_grad(false);
  CHECK_FALSE(x.requires_grad());
  Tensor i = arange(3);
  CHECK_THROWS_AS(i.set_requires_grad(), DTypeError);
  Tensor y = leaf({1}) * 2.0;
  CHECK_THROWS_AS(y.set_requires_grad(false), Error);
  const Tensor z = leaf({1, 2});
  CHECK_THROWS_AS(z.set_grad(ones({3}, DType::f64)), ShapeError);
  CHECK_THROWS_AS(z.set_grad(ones({2})), ShapeError);
  z.set_grad(ones({2}, DType::f64));
  CHECK(z.grad()[1].item() == 1);
}

TEST_CASE("seeds weigh outputs, and must be like them") {
  const Tensor x = leaf({1, 2, 3});
  (x * x).backward(tensor<double>({1, 0, -1}));
  CHECK(to_string(x.grad()) == to_string(tensor<double>({2, 0, -6})));
  CHECK_THROWS_AS((x * 2.0).backward(ones({2}, DType::f64)), ShapeError);
  CHECK_THROWS_AS((x * 2.0).backward(ones({3})), ShapeError);
  const Tensors dx = grad({x * 2.0, sum(x)}, {x}, {Tensor(), tensor<double>({5}, {})});
  CHECK(dx[0][0].item() == 7);
  CHECK_THROWS_AS(grad({x * 2.0}, {x}, {Tensor(), Tensor()}), Error);
  CHECK_THROWS_AS(grad({x * 2.0}, {}), Error);
}

TEST_CASE("grad returns gradients by any tensor of the record, and leaves grad() alone") {
  const Tensor x = leaf({2}), other = leaf({1});
  const Tensor h = x * x, y = h * 3.0;
  const Tensors g = grad({y}, {h, x, other}, {}, {.retain = true});
  CHECK(g[0].item() == 3);
  CHECK(g[1].item() == 12);
  CHECK_FALSE(g[2].defined());
  CHECK_FALSE(x.grad().defined());
  CHECK_THROWS_AS(grad({y}, {x.detach()}), Error);
}

TEST_CASE("grad goes no further back than it needs") {
  const Tensor x = leaf({2});
  const Tensor h = exp(x), y = h * h;
  grad({y}, {h});
  h.backward();  // what exp kept is still there
  CHECK(x.grad().item() == doctest::Approx(std::exp(2.0)));
}

TEST_CASE("the gradient of a leaf that is itself the output is its seed") {
  const Tensor x = leaf({1, 2});
  x.backward();
  CHECK(x.grad()[1].item() == 1);
  CHECK(grad({x}, {x}, {tensor<double>({3, 4})})[0][1].item() == 4);
}

TEST_CASE("derivatives go to any order") {
  const Tensor x = leaf({0.7});
  Tensor y = sin(x);
  for (double expected : {std::cos(0.7), -std::sin(0.7), -std::cos(0.7), std::sin(0.7), std::cos(0.7)}) {
    y = grad({y}, {x}, {}, {.create_graph = true})[0];
    CHECK(y.item() == doctest::Approx(expected));
  }
  Tensor p = x * x * x * x;
  for (double expected : {4 * 0.343, 12 * 0.49, 24 * 0.7, 24.0}) {
    p = grad({p}, {x}, {}, {.create_graph = true})[0];
    CHECK(p.item() == doctest::Approx(expected));
  }
}

TEST_CASE("a gradient penalty trains through gradients of several layers") {
  Tensor w = tensor<double>({0.3, -0.2, 0.5, 0.1}, {2, 2});
  w.set_requires_grad();
  const auto penalty = [](const Tensor& at) {
    Tensor x = tensor<double>({0.4, -0.6}, {1, 2});
    x.set_requires_grad();
    const Tensor dx = grad({sum(softmax(tanh(matmul(x, at))) * tensor<double>({1, 3}))}, {x}, {},
                           {.create_graph = true})[0];
    return sum(dx * dx);
  };
  penalty(w).backward();
  for (int64_t i = 0; i < 4; ++i) {
    const auto moved = [&](double h) {
      Tensor at = clone(w.detach());
      at.mutable_data<double>()[static_cast<size_t>(i)] += h;
      at.set_requires_grad();
      return penalty(at).item();
    };
    CHECK(w.grad().data<double>()[static_cast<size_t>(i)] ==
          doctest::Approx((moved(1e-5) - moved(-1e-5)) / 2e-5).epsilon(1e-5));
  }
}

TEST_CASE("hooks see a gradient once it is complete, and may replace it") {
  const Tensor x = leaf({3});
  const Tensor h = x * 2.0;
  int calls = 0;
  double seen = 0;
  h.on_grad([&](const Tensor& g) {
    ++calls;
    seen = g.item();
    return Tensor();
  });
  x.on_grad([](const Tensor& g) { return g * 10.0; });
  (h * 3.0 + h).backward();
  CHECK(calls == 1);
  CHECK(seen == 4);
  CHECK(x.grad().item() == 80);
  const Tensor bad = leaf({1});
  bad.on_grad([](const Tensor&) { return ones({2}, DType::f64); });
  CHECK_THROWS_AS((bad * 1.0).backward(), ShapeError);
  CHECK_THROWS_AS(bad.detach().on_grad([](const Tensor& g) { return g; }), Error);
}

TEST_CASE("an op with several outputs gets zeros for those not used") {
  const Tensor x = leaf({3, 1, 2});
  const Sorted s = sort(x);
  CHECK_FALSE(s.indices.requires_grad());
  (s.values[0] * 5.0 + s.values[2] * 7.0).backward();
  CHECK(to_string(x.grad()) == to_string(tensor<double>({7, 5, 0})));
}

TEST_CASE("more than thirty-two inputs all get their gradients") {
  Tensors pieces;
  for (int i = 0; i < 80; ++i) pieces.push_back(leaf({1.0 * i}));
  const Tensor all = cat(pieces);
  sum(all * all).backward();
  for (int i = 0; i < 80; ++i) CHECK(pieces[static_cast<size_t>(i)].grad().item() == 2 * i);
}

TEST_CASE("a chain of a million ops runs backward and is destroyed without recursion") {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < kLongChain; ++i) y = -y;
  y.backward();
  CHECK(x.grad().item() == 1);
  y = Tensor();
  if (kLongChain < 1'000'000) MESSAGE("sanitized: only ", kLongChain, " ops");
}

TEST_CASE("a ladder whose paths are beyond counting is swept once") {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 60; ++i) y = y + y;
  y.backward();
  CHECK(x.grad().item() == 0x1p60);
}

TEST_CASE("nothing of the record outlives its tensors") {
  std::weak_ptr<Node> node;
  std::weak_ptr<Storage> kept;
  const Tensor x = leaf({1});
  {
    const Tensor y = tanh(exp(x));
    const Tensor dx = grad({y}, {x}, {}, {.create_graph = true})[0];
    node = y.edge().node;
    kept = y.value().storage;
    CHECK(node.use_count() >= 1);
    dx.backward({}, true);
  }
  CHECK(node.expired());
  CHECK(kept.expired());
  x.zero_grad();
  CHECK(x.edge().node.use_count() == 1);
}

TEST_CASE("second derivatives of smooth activations stay finite far out") {
  for (double at : {-1000.0, 1000.0})
    for (const auto& f :
         {+[](const Tensor& x) { return silu(x); }, +[](const Tensor& x) { return softplus(x); },
          +[](const Tensor& x) { return gelu(x); }, +[](const Tensor& x) { return sigmoid(x); }}) {
      const Tensor x = leaf({at});
      const Tensor first = grad({f(x)}, {x}, {}, {.create_graph = true})[0];
      CHECK(std::isfinite(first.item()));
      CHECK(grad({first}, {x})[0].item() == doctest::Approx(0));
    }
}

TEST_CASE("cutting everything away leaves a gradient of zeros") {
  const Tensor x = leaf({1, 2});
  const Tensor none = grad({sum(slice(x, 0, 2))}, {x})[0];
  CHECK(to_string(none) == to_string(zeros({2}, DType::f64)));
}

TEST_CASE("a hook may add hooks; they run from the next sweep on") {
  const Tensor x = leaf({1});
  int calls = 0;
  x.on_grad([&](const Tensor&) {
    for (int i = 0; i < 20; ++i) x.on_grad([&](const Tensor&) { return ++calls, Tensor(); });
    return Tensor();
  });
  (x * 2.0).backward();
  CHECK(calls == 0);
  (x * 2.0).backward();
  CHECK(calls == 20);
}

TEST_CASE("no gradient passes where an input was cut off, not even an infinite one") {
  using F = Tensor (*)(const Tensor&);
  for (const F f : {F([](const Tensor& x) { return sqrt(relu(x)); }),
                    F([](const Tensor& x) { return sqrt(clamp(x, 0, 100)); }),
                    F([](const Tensor& x) { return log(relu(x)); }),
                    F([](const Tensor& x) { return sqrt(maximum(x, 0)); }),
                    F([](const Tensor& x) { return sqrt(where(x > 0.0, x, 0.0)); }),
                    F([](const Tensor& x) { return sqrt(-minimum(-x, 0)); })}) {
    const Tensor x = leaf({-1, 4});
    f(x).backward(tensor<double>({1, 1}));
    CHECK(x.grad()[0].item() == 0);
    CHECK(x.grad()[1].item() == 0.25);
  }
}

namespace {
struct Wrong {
  static constexpr OpName name{"wrong", 1};
  int64_t count = 2;
  static void fields(auto& self, auto&& field) { field("count", self.count); }
  Specs infer(const Specs& in) const { return {in[0]}; }
  void run(Backend& on, Views in, Views out, const View&) const { on.copy(in[0], out[0]); }
  Tensors vjp(const Saved&, const Tensors&) const {
    return Tensors(static_cast<size_t>(count), ones({5}, DType::f64));
  }
};
}  // namespace

TEST_CASE("a derivative of the wrong form is an error that names the op") {
  const Tensor a = leaf({1, 2}), b = leaf({1, 2});
  for (const int64_t count : {1, 2, 3})
    CHECK(contains(message_of([&] { apply_one(Wrong{count}, {a, b}).backward(); }), "derivative of wrong("));
}

TEST_CASE("a gradient that is set is a copy where others hold it") {
  const Tensor a = leaf({1}), b = leaf({1}), g = zeros({1}, DType::f64);
  a.set_grad(g), b.set_grad(g);
  (a * 2.0 + b * 3.0).backward();
  CHECK(a.grad().item() == 2);
  CHECK(b.grad().item() == 3);
  CHECK(g.item() == 0);
  const Tensor c = leaf({1, 1});
  c.set_grad(expand(zeros({1}, DType::f64), {2}));
  sum(c).backward();
  CHECK(c.grad()[1].item() == 1);
}
