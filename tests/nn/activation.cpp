// Activations against PyTorch's values and gradients.
#include <varve/nn/activation.h>

#include <doctest/doctest.h>

#include "tests/fixture.h"

using namespace varve;

namespace {

const test::Fixture& fixture() {
  static const test::Fixture loaded("activations");
  return loaded;
}

template <class Layer>
void check(const Layer& layer, const std::string& name) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::string at = std::string(name_of(dtype)) + "." + name + ".";
    CAPTURE(at);
    Tensor x = clone(fixture()[at + "x"]);
    const Tensor y = layer(x.set_requires_grad());
    y.backward(fixture()[at + "dy"]);
    CHECK(test::distance(y, fixture()[at + "y"]) <= test::tolerance(dtype));
    CHECK(test::distance(x.grad(), fixture()[at + "dx"]) <= test::tolerance(dtype));
  }
}

}  // namespace

TEST_CASE("every activation and its gradient is PyTorch's") {
  check(nn::ReLU{}, "relu");
  check(nn::GELU{}, "gelu");
  check(nn::SiLU{}, "silu");
  check(nn::Tanh{}, "tanh");
  check(nn::Sigmoid{}, "sigmoid");
  check(nn::Softplus{}, "softplus");
}
