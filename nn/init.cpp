#include <varve/nn/init.h>

#include <fmt/format.h>

#include <cmath>

#include <varve/core/record.h>

namespace varve::nn {
namespace {

// All sizes but the first, multiplied: how many inputs each output sums.
double fan_in(const Shape& shape, const char* operation) {
  if (shape.rank() < 2)
    throw ShapeError(fmt::format("{}: shape {}; required are two axes or more, [out, in, ...]", operation,
                                 to_string(shape)));
  double product = 1;
  for (int axis = 1; axis < shape.rank(); ++axis) product *= static_cast<double>(shape[axis]);
  if (product == 0)
    throw ShapeError(
        fmt::format("{}: shape {}; required is at least one input", operation, to_string(shape)));
  return product;
}

}  // namespace

Tensor uniform_parameter(const Shape& shape, double bound, DType dtype) {
  const NoGrad guard;
  return rand(shape, -bound, bound, dtype).set_requires_grad();
}

Tensor kaiming_uniform(const Shape& shape, double gain, DType dtype) {
  return uniform_parameter(shape, gain * std::sqrt(3 / fan_in(shape, "kaiming_uniform")), dtype);
}

Tensor xavier_uniform(const Shape& shape, double gain, DType dtype) {
  const double in = fan_in(shape, "xavier_uniform");
  const double out = static_cast<double>(shape[0]) * (in / static_cast<double>(shape[1]));
  return uniform_parameter(shape, gain * std::sqrt(6 / (in + out)), dtype);
}

}  // namespace varve::nn
