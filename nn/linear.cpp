#include <varve/nn/linear.h>

#include <fmt/format.h>

#include <cmath>

#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/nn/init.h>

namespace varve::nn {

Linear::Linear(int64_t in, int64_t out, bool with_bias, DType dtype) {
  if (in < 1 || out < 0)
    throw ShapeError(
        fmt::format("Linear: {} inputs and {} outputs; required is at least one input", in, out));
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight = uniform_parameter({out, in}, bound, dtype);
  if (with_bias) bias = uniform_parameter({out}, bound, dtype);
}

Tensor Linear::operator()(const Tensor& x) const {
  if (x.rank() == 0 || x.shape().back() != weight.size(1))
    throw ShapeError(fmt::format("linear: input {} with {} {}; required is a last axis of {}",
                                 to_string(x.shape()),
                                 weight.label().empty() ? "a weight" : fmt::format("'{}'", weight.label()),
                                 to_string(weight.shape()), weight.size(1)));
  const Tensor y = matmul(x, weight, false, true);
  return bias ? y + *bias : y;
}

}  // namespace varve::nn
