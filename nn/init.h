// Initialisers: fresh tensors to start training from, drawn from this thread's generator.
#pragma once

#include <varve/core/ops/random.h>

namespace varve::nn {

// A parameter: uniform in [-bound, bound), requires a gradient.
VARVE_API Tensor uniform_parameter(const Shape& shape, double bound, DType dtype = DType::f32);
// A parameter of shape [out, in, ...]: uniform with bound gain sqrt(3 / fan_in), fan_in all sizes but the
// first multiplied; the variance through a layer is kept when gain suits its activation, sqrt(2) for ReLU
// (He et al., arXiv:1502.01852).
VARVE_API Tensor kaiming_uniform(const Shape& shape, double gain = 1.4142135623730951,
                                 DType dtype = DType::f32);
// A parameter of shape [out, in]: uniform with bound gain sqrt(6 / (in + out)) (Glorot and Bengio, AISTATS
// 2010).
VARVE_API Tensor xavier_uniform(const Shape& shape, double gain = 1, DType dtype = DType::f32);

}  // namespace varve::nn
