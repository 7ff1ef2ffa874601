// Reductions along any axes.
#pragma once

#include <varve/core/op.h>

namespace varve {

namespace detail {
// Where just the last axis is reduced, kept as 1, and lies dense: then no sum depends on other rows.
VARVE_API std::optional<RowUse> reduced_rows(const View& in, const View& out);
}  // namespace detail

inline constexpr std::string_view kReduceNames[]{"sum", "prod", "max", "min"};

// No axes means all of them; keepdims leaves size 1 where an axis was reduced.
template <ReduceFn kFn>
struct Reduce {
  static constexpr OpName name{kReduceNames[static_cast<size_t>(kFn)], 1};
  Axes axes;
  bool keepdims = false;
  static void fields(auto& self, auto&& field) {
    field("axes", self.axes);
    field("keepdims", self.keepdims);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  std::optional<RowUse> rows(Views in, Views out) const { return detail::reduced_rows(in[0], out[0]); }
  Keep keep() const { return kFn == ReduceFn::sum ? Keep{} : Keep{1, kFn == ReduceFn::prod ? 0u : 1u}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};
using Sum = Reduce<ReduceFn::sum>;
using Prod = Reduce<ReduceFn::prod>;
using Max = Reduce<ReduceFn::max>;
using Min = Reduce<ReduceFn::min>;

struct Mean {  // sum / count, of floating types
  static constexpr OpName name{"mean", 1};
  Axes axes;
  bool keepdims = false;
  static void fields(auto& self, auto&& field) {
    field("axes", self.axes);
    field("keepdims", self.keepdims);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API size_t scratch(Views in, Views out) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  std::optional<RowUse> rows(Views in, Views out) const { return detail::reduced_rows(in[0], out[0]); }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

// Over `axes`, or all: they go, or stay with size 1 with keepdims.

// The sum: 0 of no elements. Integers and bool sum into i64 (u64 stays).
VARVE_API Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
// The product: 1 of no elements; types as for sum.
VARVE_API Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
// The largest (smallest): NaN if any is; equal extremes share the gradient. ShapeError of no elements.
VARVE_API Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
VARVE_API Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
// sum x / n; floating types only. NaN of no elements.
VARVE_API Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
// sum (x - mean)^2 / (n - correction)
VARVE_API Tensor var(const Tensor& x, const Axes& axes = {}, bool keepdims = false, double correction = 1);
// log sum exp(x), without overflow
VARVE_API Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false);

// Summed over the axes along which `shape` was broadcast to x's shape.
VARVE_API Tensor sum_to(const Tensor& x, const Shape& shape);
// How many elements a reduction along `axes` takes together.
VARVE_API int64_t count_along(const Shape& shape, const Axes& axes);

}  // namespace varve
