#include <varve/nn/loss.h>

#include <fmt/format.h>

#include <algorithm>

#include <varve/core/index_range.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>

namespace varve::nn {
namespace {

Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : mean(losses);
}

void check_classes(const Tensor& scores, const Tensor& targets, const char* operation) {
  if (!is_floating(scores.dtype()))
    throw DTypeError(
        fmt::format("{}: {} predictions; required is a floating type", operation, name_of(scores.dtype())));
  if (targets.dtype() != DType::i64)
    throw DTypeError(
        fmt::format("{}: {} targets; required are class numbers in i64, use cast(targets, DType::i64)",
                    operation, name_of(targets.dtype())));
  const Shape& s = scores.shape();
  if (s.rank() == 0 || targets.shape() != Shape(std::span(s.begin(), s.end()).first(s.rank() - 1)))
    throw ShapeError(fmt::format("{}: predictions {} with targets {}; required are [..., classes] and [...]",
                                 operation, to_string(s), to_string(targets.shape())));
}

void check_alike(const Tensor& prediction, const Tensor& target, const char* operation) {
  if (!is_floating(prediction.dtype()) || target.dtype() != prediction.dtype())
    throw DTypeError(fmt::format("{}: {} predictions with {} targets; required is one floating type",
                                 operation, name_of(prediction.dtype()), name_of(target.dtype())));
  if (prediction.shape() != target.shape())
    throw ShapeError(fmt::format("{}: predictions {} with targets {}; required are equal shapes, use reshape",
                                 operation, to_string(prediction.shape()), to_string(target.shape())));
}

// The first target that is no class. A trace ends with the error that names it, so its value may be read.
int64_t first_outside(const Tensor& targets, const IndexRange& classes) {
  const Tensor flat = contiguous(targets.detach());
  std::vector<int64_t> all(static_cast<size_t>(flat.numel()));
  flat.value().storage->backend().download(flat.view().data, all.data(), flat.spec().bytes());
  return *std::find_if(all.begin(), all.end(), [&](int64_t t) { return !classes.holds(t); });
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, Reduction reduction) {
  check_classes(logits, targets, "cross_entropy");
  const Tensor computed = cast(logits, dtype_of_compute(compute_of(logits.dtype())));
  return cast(reduced(apply_one(CrossEntropy{}, {computed, targets}), reduction), logits.dtype());
}

Tensor nll_loss(const Tensor& log_probabilities, const Tensor& targets, Reduction reduction) {
  check_classes(log_probabilities, targets, "nll_loss");
  const IndexRange classes{"nll_loss", log_probabilities.size(-1), false};
  // For gather, negative indices count from the end: here they are moved out of its range.
  const Tensor places = where(targets < 0, targets - static_cast<double>(classes.size), targets);
  try {
    return reduced(-squeeze(gather(log_probabilities, -1, unsqueeze(places, -1)), -1), reduction);
  } catch (const ShapeError&) {
    classes.refuse(first_outside(targets, classes));
  }
}

Tensor mse_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  check_alike(prediction, target, "mse_loss");
  const Tensor error = prediction - target;
  return reduced(error * error, reduction);
}

Tensor l1_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  check_alike(prediction, target, "l1_loss");
  return reduced(abs(prediction - target), reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target, Reduction reduction) {
  check_alike(logits, target, "binary_cross_entropy_with_logits");
  // Each term is precise where its target is: softplus(x) - x t would lose the small losses to cancellation.
  return reduced(target * softplus(-logits) + (1 - target) * softplus(logits), reduction);
}

}  // namespace varve::nn
