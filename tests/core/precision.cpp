// AllowTf32: a mode of this thread, which plans and inferences keep as they were traced. The CPU has no TF32.
#include <varve/core/precision.h>

#include <doctest/doctest.h>

#include <thread>

#include <varve/varve.h>
#include "tests/message.h"

using namespace varve;

namespace {

// y = 1 where TF32 is allowed as its kernel runs.
struct Allowed {
  static constexpr OpName name{"test.allowed", 1};
  Specs infer(const Specs& in) const { return in; }
  void run(Backend& on, Views, Views out, const View&) const {
    const float y = tf32_allowed() ? 1 : 0;
    on.fill(out[0], &y);
  }
};
Tensor allowed(const Tensor& x) { return apply_op(Allowed{}, {x})[0]; }

}  // namespace

TEST_CASE("TF32 is allowed while an AllowTf32 lives, on its thread alone, and may be forbidden within") {
  CHECK(!tf32_allowed());
  {
    const AllowTf32 outer;
    CHECK(tf32_allowed());
    std::thread([] { CHECK(!tf32_allowed()); }).join();
    {
      const AllowTf32 inner(false);
      CHECK(!tf32_allowed());
    }
    CHECK(tf32_allowed());
  }
  CHECK(!tf32_allowed());
}

TEST_CASE("a compiled function has a plan with TF32 and one without, an Inference what it was traced with") {
  const Tensor x = zeros({3});
  auto f = compile([](const Tensor& t) { return allowed(t); });
  for (const bool allow : {false, true, false, true}) {
    const AllowTf32 mode(allow);
    for (int i = 0; i < 2; ++i) CHECK(f(x)[0].item() == (allow ? 1 : 0));
  }
  CHECK(f.plans().size() == 2);
  for (const bool allow : {false, true}) {
    std::optional<Inference> inference;
    {
      const AllowTf32 mode(allow);
      inference.emplace(allowed, Tensors{x});
    }
    const AllowTf32 other(!allow);
    const Tensor y = full({3}, 9);
    inference->run({x}, {y});
    CHECK(y[1].item() == (allow ? 1 : 0));
    CHECK(tf32_allowed() == !allow);
  }
}

TEST_CASE("AllowTf32 within a function that is traced is refused unless it changes nothing") {
  auto f = compile([](const Tensor& t) {
    const AllowTf32 mode;
    return t * 2.0;
  });
  const Tensor x = ones({2});
  CHECK(contains(message_of([&] { f(x); }), "around the call of the compiled function"));
  CHECK(!tf32_allowed());
  const AllowTf32 mode;
  CHECK(f(x)[0].item() == 2);
}

TEST_CASE("products on the CPU have the same bits where TF32 is allowed") {
  const Tensor a = randn({40, 70}), b = randn({70, 30}), exact = matmul(a, b);
  const AllowTf32 mode;
  CHECK(identical(matmul(a, b), exact));
}
