// Losses against PyTorch's values and gradients, at their extremes, and what they refuse.
#include <varve/nn/loss.h>

#include <doctest/doctest.h>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>

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
