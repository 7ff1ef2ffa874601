// A whole model answers without its class, from and into the caller's memory.
#include <doctest/doctest.h>

#include <varve/core/inference.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/random.h>
#include <varve/io/model.h>
#include <varve/nn/dropout.h>
#include <varve/nn/linear.h>
#include <varve/nn/sequential.h>

#include "tests/io/temporary_folder.h"

using namespace varve;

TEST_CASE("an opened model answers from and into the caller's memory") {
  const test::TemporaryFolder folder;
  save_model(folder / "net.varve", nn::Sequential(nn::Linear(12, 5), nn::Dropout{0.5}), {zeros({8, 12})});
  Model model = load_model(folder / "net.varve");
  CHECK_THROWS_WITH_AS(Inference(model, {zeros({2, 12})}), doctest::Contains("call eval(model) before"),
                       Error);
  eval(model);
  Inference answer(model, {zeros({2, 12})});
  const Tensor x = randn({2, 12});
  std::vector<float> y(10);
  answer.run({x}, {y});
  CHECK(identical(from_span(std::span(y), {2, 5}), model(x)));
}
