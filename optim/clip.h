// Gradient clipping: bounds how far one step can go.
#pragma once

#include <varve/core/tensor.h>

namespace varve::optim {

// Scales the gradients so that the norm of all of them together is at most max_norm, and returns the norm
// they had (0-d). Works in compiled steps: nothing is read. Error if no parameter has a gradient.
VARVE_API Tensor clip_grad_norm(const Tensors& parameters, double max_norm);

}  // namespace varve::optim
