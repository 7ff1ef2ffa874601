// Ops that work along one axis as a whole: softmax, cumulative sum, argmax, sort, cross entropy.
#pragma once

#include <varve/core/op.h>

namespace varve {

namespace detail {
// All of them work on the last axis, and see what has rows with stride 1: else it is copied to scratch first.
VARVE_API size_t row_scratch(Views in);
VARVE_API void run_rows(Backend& on, RowFn fn, Views in, Views out, const View& scratch);
VARVE_API Specs infer_rows(RowFn fn, const char* op, const Specs& in);
VARVE_API Specs infer_soft_slope(std::string_view op, const Specs& in);
}  // namespace detail

inline constexpr std::string_view kRowNames[]{
    "softmax", "log_softmax", "softmax_slope", "log_softmax_slope", "cumsum",
    "argmax",  "argmin",      "sort",          "sort_descending"};

template <RowFn kFn>
struct RowOp {
  static constexpr OpName name{kRowNames[static_cast<size_t>(kFn)], 1};
  static constexpr bool kSoft = kFn == RowFn::softmax || kFn == RowFn::log_softmax;
  static constexpr bool kSorts = kFn == RowFn::sort || kFn == RowFn::sort_descending;

  Specs infer(const Specs& in) const { return detail::infer_rows(kFn, name.name.data(), in); }
  size_t scratch(Views in, Views) const { return detail::row_scratch(in); }
  void run(Backend& on, Views in, Views out, const View& scratch) const {
    detail::run_rows(on, kFn, in, out, scratch);
  }
  std::optional<RowUse> rows(Views in, Views out) const {  // argmax drops the axis that makes a row
    return out[0].rank() == in[0].rank() ? std::optional(RowUse{}) : std::nullopt;
  }
  Keep keep() const { return {0, kSoft ? 1u : kSorts ? 2u : 0u}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const
      requires(kFn != RowFn::argmax && kFn != RowFn::argmin);
};
// The derivative by x, of y = softmax(x) or log_softmax(x) and dy: y (dy - sum(y dy)), or dy - exp(y)
// sum(dy).
template <RowFn kFn>
struct SoftSlope {
  static constexpr OpName name{kRowNames[static_cast<size_t>(kFn)], 1};
  Specs infer(const Specs& in) const { return detail::infer_soft_slope(name.name, in); }
  size_t scratch(Views in, Views) const { return detail::row_scratch(in); }
  void run(Backend& on, Views in, Views out, const View& scratch) const {
    detail::run_rows(on, kFn, in, out, scratch);
  }
  std::optional<RowUse> rows(Views, Views) const { return RowUse{}; }
  Keep keep() const { return {3, 0}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& g) const;
};
using SoftmaxSlope = SoftSlope<RowFn::softmax_slope>;
using LogSoftmaxSlope = SoftSlope<RowFn::log_softmax_slope>;

using Softmax = RowOp<RowFn::softmax>;
using LogSoftmax = RowOp<RowFn::log_softmax>;
using Cumsum = RowOp<RowFn::cumsum>;
using Argmax = RowOp<RowFn::argmax>;
using Argmin = RowOp<RowFn::argmin>;
using Sort = RowOp<RowFn::sort>;
using SortDescending = RowOp<RowFn::sort_descending>;

// y = logsumexp(x) - x[target] of logits x [..., classes] and targets i64 [...]; an Error unless in 0 to
// classes - 1.
struct CrossEntropy {
  static constexpr OpName name{"cross_entropy", 1};
  static constexpr bool refuses = true;
  VARVE_API Specs infer(const Specs& in) const;
  size_t scratch(Views in, Views) const { return detail::row_scratch(in); }
  void run(Backend& on, Views in, Views out, const View& scratch) const {
    detail::run_rows(on, RowFn::cross_entropy, in, out, scratch);
  }
  Keep keep() const { return {3, 0}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

// Its derivative by x, of x, targets and dy [...]: dy (softmax(x) - one_hot(target)).
struct CrossEntropySlope {
  static constexpr OpName name{"cross_entropy_slope", 1};
  static constexpr bool refuses = true;
  VARVE_API Specs infer(const Specs& in) const;
  size_t scratch(Views in, Views) const { return detail::row_scratch(in); }
  void run(Backend& on, Views in, Views out, const View& scratch) const {
    detail::run_rows(on, RowFn::cross_entropy_slope, in, out, scratch);
  }
  std::optional<RowUse> rows(Views, Views) const { return RowUse{.flat = 6}; }
  Keep keep() const { return {7, 0}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

// exp(x) / sum exp(x) along `axis`
VARVE_API Tensor softmax(const Tensor& x, int64_t axis = -1);
// x - logsumexp(x) along `axis`
VARVE_API Tensor log_softmax(const Tensor& x, int64_t axis = -1);
// y[i] = x[0] + ... + x[i] along `axis`; integers sum into i64 (u64 stays).
VARVE_API Tensor cumsum(const Tensor& x, int64_t axis = -1);
// The index (i64) of the first extreme along `axis`, which goes; NaN counts as extreme.
VARVE_API Tensor argmax(const Tensor& x, int64_t axis = -1, bool keepdims = false);
VARVE_API Tensor argmin(const Tensor& x, int64_t axis = -1, bool keepdims = false);

struct Sorted {
  Tensor values, indices;  // indices: i64, where each value was
};
// In rising order along `axis`, or falling; equal values keep their order. NaN last.
VARVE_API Sorted sort(const Tensor& x, int64_t axis = -1, bool descending = false);
// The first k of the sort: the largest, or the smallest; ShapeError unless 0 <= k <= the size.
VARVE_API Sorted topk(const Tensor& x, int64_t k, int64_t axis = -1, bool largest = true);

}  // namespace varve
