// Losses against PyTorch's values and gradients, at their extremes, and what they refuse.
#include <varve/nn/loss.h>

#include <doctest/doctest.h>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/plan.h>

#include "tests/core/parity.h"
#include "tests/fixture.h"
#include "tests/message.h"

using namespace varve;

namespace {

using Loss = Tensor (*)(const Tensor&, const Tensor&, nn::Reduction);
struct Named {
  const char* name;
  Loss loss;
};
constexpr Named kLosses[]{{"cross_entropy", nn::cross_entropy},
                          {"nll_loss", nn::nll_loss},
                          {"mse_loss", nn::mse_loss},
                          {"l1_loss", nn::l1_loss},
                          {"binary_cross_entropy_with_logits", nn::binary_cross_entropy_with_logits}};
constexpr std::pair<const char*, nn::Reduction> kReductions[]{
    {"mean", nn::Reduction::mean}, {"sum", nn::Reduction::sum}, {"none", nn::Reduction::none}};

}  // namespace

TEST_CASE("every loss, with each reduction, and its gradient is PyTorch's") {
  const test::Fixture fixture("losses");
  for (const DType dtype : {DType::f32, DType::f64})
    for (const auto& [name, loss] : kLosses)
      for (const auto& [reduction_name, reduction] : kReductions) {
        const std::string of = std::string(name_of(dtype)) + "." + name + ".";
        const std::string at = of + reduction_name + ".";
        CAPTURE(at);
        Tensor x = clone(fixture[of + "x"]);
        const Tensor y = loss(x.set_requires_grad(), fixture[of + "target"], reduction);
        y.backward(fixture[at + "dy"]);
        CHECK(test::distance(y, fixture[at + "y"]) <= test::tolerance(dtype));
        CHECK(test::distance(x.grad(), fixture[at + "dx"]) <= test::tolerance(dtype));
      }
}

TEST_CASE("losses stay finite and precise at extreme logits") {
  Tensor x = tensor({-1000.f, -30.f, 0.f, 30.f, 1000.f});
  x.set_requires_grad();
  for (const float t : {0.f, 1.f}) {
    x.zero_grad();
    const Tensor y = nn::binary_cross_entropy_with_logits(x, full({5}, t), nn::Reduction::none);
    y.backward(ones({5}));
    for (size_t i = 0; i < 5; ++i) {
      const double z = x.data<float>()[i], away = t == 1 ? -z : z;  // the logit against the target
      const double expected = away > 100 ? away : std::log1p(std::exp(away));
      CHECK(std::abs(y.data<float>()[i] - expected) <= 1e-6 * expected);
      const double slope = (t == 1 ? -1 : 1) / (1 + std::exp(-away));
      CHECK(std::abs(x.grad().data<float>()[i] - slope) <= 1e-6 * std::abs(slope));
    }
  }
  const Tensor far = tensor({1000.f, -1000.f, 0.f, 1000.f}, {2, 2});
  const Tensor loss = nn::cross_entropy(far, tensor<int64_t>({1, 1}), nn::Reduction::none);
  CHECK(loss.data<float>()[0] == 2000.f);
  CHECK(loss.data<float>()[1] == 0.f);
}

TEST_CASE("class losses take any leading axes") {
  const Tensor logits = reshape(linspace(-1, 1, 24), {2, 3, 4});
  const Tensor targets = tensor<int64_t>({0, 1, 2, 3, 0, 1}, {2, 3});
  const Tensor apart = nn::cross_entropy(logits, targets, nn::Reduction::none);
  CHECK(apart.shape() == Shape{2, 3});
  const Tensor flat = nn::cross_entropy(reshape(logits, {6, 4}), reshape(targets, {6}), nn::Reduction::none);
  CHECK(test::identical(reshape(apart, {6}), flat));
}

// The same by several ops: each piece has its own tests.
static Tensor composed(const Tensor& logits, const Tensor& targets) {
  return nn::nll_loss(log_softmax(logits), targets, nn::Reduction::none);
}

TEST_CASE("cross_entropy is the nll_loss of log_softmax, and so are its derivatives") {
  test::Draws draws(5);
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{4}, {3, 1}, {5, 10}, {40, 10}, {2, 3, 130}, {0, 10}})
      for (const test::Layout layout : test::kLayouts) {
        CAPTURE(name_of(dtype));
        CAPTURE(to_string(shape));
        CAPTURE(std::string(name_of(layout)));
        Shape each = shape;
        each.erase(shape.rank() - 1);
        const Tensor targets = laid_out(draws.targets(each, shape.back()), layout);
        const Tensor logits = draws.numbers(shape, dtype, {-9, 9}), dy = draws.numbers(each, dtype);
        const auto derived = [&](auto loss) {
          Tensor x = laid_out(logits, layout), seed = clone(dy);
          x.set_requires_grad(), seed.set_requires_grad();
          const Tensor y = loss(x, targets);
          const Tensor dx = grad({y}, {x}, {seed}, {.create_graph = true})[0];
          const Tensors second = grad({sum(dx * dx)}, {x, seed});
          return Tensors{y, dx, second[0], second[1]};
        };
        const Tensors found = derived(
            [](const Tensor& x, const Tensor& t) { return nn::cross_entropy(x, t, nn::Reduction::none); });
        const Tensors expected = derived(composed);
        for (size_t i = 0; i < found.size(); ++i) {
          CAPTURE(i);
          REQUIRE(found[i].spec() == expected[i].spec());
          CHECK(test::difference(found[i].view(), expected[i].view()) == "");
        }
      }
}

TEST_CASE("cross_entropy has the NaN and the infinities of log_softmax") {
  const float inf = HUGE_VALF, nan = NAN;
  const Tensor rows = tensor<float>(
      {0,     nan,    1, 2, inf,  0,    1,    2,    -inf, 0,   1, 2,    -inf,   -inf, -inf, -inf,
       3e38f, -3e38f, 0, 1, 1e4f, 1e4f, 1e4f, 9e3f, inf,  inf, 0, -inf, 1e-40f, 0,    0,    0},
      {8, 4});
  for (int64_t target = 0; target < 4; ++target)
    for (const Tensor& logits : {rows, cat(Tensors(5, rows), -1)}) {  // short rows, and longer ones
      const Tensor targets = full({8}, static_cast<double>(target), DType::i64);
      const auto derived = [&](auto loss) {
        Tensor x = clone(logits);
        const Tensor y = loss(x.set_requires_grad(), targets);
        return Tensors{y, grad({y}, {x})[0]};
      };
      const Tensors found = derived(
          [](const Tensor& x, const Tensor& t) { return nn::cross_entropy(x, t, nn::Reduction::none); });
      const Tensors expected = derived(composed);
      for (size_t i = 0; i < 2; ++i) CHECK(test::difference(found[i].view(), expected[i].view()) == "");
    }
}

TEST_CASE("cross_entropy of sixteen bits is computed in f32, and rounded") {
  test::Draws draws(6);
  const Tensor targets = draws.targets({9}, 10);
  for (const DType dtype : {DType::f16, DType::bf16})
    for (const nn::Reduction reduction : {nn::Reduction::none, nn::Reduction::mean}) {
      Tensor x = draws.numbers({9, 10}, dtype, {-9, 9}), wide = cast(x, DType::f32);
      const auto loss = [&](Tensor& logits) {
        return nn::cross_entropy(logits.set_requires_grad(), targets, reduction);
      };
      const Tensor y = loss(x), expected = loss(wide);
      CHECK(test::identical(y, cast(expected, dtype)));
      CHECK(test::identical(grad({y}, {x})[0], cast(grad({expected}, {wide})[0], dtype)));
    }
}

TEST_CASE("cross_entropy is one call of a plan, and its gradient another") {
  Tensor logits = ones({8, 10});
  const Tensor targets = zeros({8}, DType::i64);
  auto loss =
      compile([](const Tensor& x, const Tensor& t) { return nn::cross_entropy(x, t, nn::Reduction::none); });
  loss(logits, targets);
  CHECK(loss.plans()[0]->calls() == 1);
  auto slope = compile([](const Tensor& x, const Tensor& t, const Tensor& dy) {
    return grad({nn::cross_entropy(x, t, nn::Reduction::none)}, {x}, {dy})[0];
  });
  slope(logits.set_requires_grad(), targets, ones({8}));
  CHECK(slope.plans()[0]->calls() == 1);
}

TEST_CASE(
    "cross_entropy refuses a target that is no class: run, traced and replayed, and where there are none") {
  const Tensor logits = ones({8, 10}), classes = zeros({8}, DType::i64);
  const auto loss = [](const Tensor& x, const Tensor& targets) { return nn::cross_entropy(x, targets); };
  Tensor weight = ones({10});
  weight.set_requires_grad();
  const auto only_gradient = [&](const Tensor& x, const Tensor& targets) {
    return grad({nn::cross_entropy(x * weight, targets)}, {weight})[0];  // the loss itself is dead code
  };
  auto traced = compile(loss), replayed = compile(loss), without_loss = compile(only_gradient);
  for (int i = 0; i < 3; ++i) replayed(logits, classes), without_loss(logits, classes);
  for (const int64_t target : {-100, -1, 10}) {
    Tensor bad = clone(classes);
    bad[5].fill(static_cast<double>(target));
    const std::string said =
        "cross_entropy: target " + std::to_string(target) + " found; required is one of the classes 0 to 9";
    CHECK(message_of<ShapeError>([&] { loss(logits, bad); }) == said);
    CHECK(message_of<ShapeError>([&] { traced(logits, bad); }) == said);
    CHECK(message_of<ShapeError>([&] { replayed(logits, bad); }) == said);
    CHECK(message_of<ShapeError>([&] { without_loss(logits, bad); }) == said);
  }
  CHECK(replayed.plans().size() == 1);
  CHECK(replayed(logits, classes).item() == doctest::Approx(std::log(10.0)));  // and it goes on
  CHECK(nn::cross_entropy(ones({0, 10}), zeros({0}, DType::i64), nn::Reduction::sum).item() == 0);
  CHECK(nn::cross_entropy(ones({0, 0}), zeros({0}, DType::i64), nn::Reduction::sum).item() == 0);
  CHECK(message_of<ShapeError>([] {
          nn::cross_entropy(ones({2, 0}), zeros({2}, DType::i64));
        }) == "cross_entropy: target 0 found; required is one of the classes 0 to -1");
}

TEST_CASE("losses refuse shapes and types that do not fit, and say which") {
  const Tensor logits = ones({8, 10}), classes = zeros({8}, DType::i64);
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(logits, zeros({7}, DType::i64)),
      "cross_entropy: predictions [8, 10] with targets [7]; required are [..., classes] and [...]",
      ShapeError);
  CHECK_THROWS_AS(nn::cross_entropy(logits, zeros({8, 1}, DType::i64)), ShapeError);
  CHECK_THROWS_AS(nn::cross_entropy(ones({}), zeros({}, DType::i64)), ShapeError);
  CHECK_THROWS_WITH_AS(
      nn::nll_loss(logits, zeros({8}, DType::i32)),
      "nll_loss: i32 targets; required are class numbers in i64, use cast(targets, DType::i64)", DTypeError);
  CHECK_THROWS_AS(nn::cross_entropy(zeros({8, 10}, DType::i64), classes), DTypeError);
  for (const double target : {-100, -1, 10})
    CHECK(message_of([&] { nn::cross_entropy(logits, full({8}, target, DType::i64)); }) ==
          "cross_entropy: target " + std::to_string(static_cast<int>(target)) +
              " found; required is one of the classes 0 to 9");
  for (const Loss loss : {nn::mse_loss, nn::l1_loss, nn::binary_cross_entropy_with_logits}) {
    CHECK_THROWS_AS(loss(ones({8, 1}), ones({8}), nn::Reduction::mean), ShapeError);  // would broadcast
    CHECK_THROWS_AS(loss(ones({8}), ones({8}, DType::f64), nn::Reduction::mean), DTypeError);
    CHECK_THROWS_AS(loss(ones({8}, DType::i64), ones({8}, DType::i64), nn::Reduction::mean), DTypeError);
  }
}
