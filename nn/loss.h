// Losses: how far predictions are from targets. Shapes must agree exactly: a loss never broadcasts.
#pragma once

#include <varve/core/tensor.h>

namespace varve::nn {

enum class Reduction { mean, sum, none };  // over all elements of the loss; none keeps them apart

// -log softmax(logits)[target]; logits [..., C], targets i64 [...]; an Error unless in 0..C-1.
VARVE_API Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                               Reduction reduction = Reduction::mean);
// -log_probabilities[target]; shapes as in cross_entropy.
VARVE_API Tensor nll_loss(const Tensor& log_probabilities, const Tensor& targets,
                          Reduction reduction = Reduction::mean);
// (prediction - target)^2; equal shapes.
VARVE_API Tensor mse_loss(const Tensor& prediction, const Tensor& target,
                          Reduction reduction = Reduction::mean);
// |prediction - target|; equal shapes.
VARVE_API Tensor l1_loss(const Tensor& prediction, const Tensor& target,
                         Reduction reduction = Reduction::mean);
// -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), without overflow or cancellation; equal shapes, t in 0..1.
VARVE_API Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                                  Reduction reduction = Reduction::mean);

}  // namespace varve::nn
