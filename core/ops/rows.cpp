#include <varve/core/ops/rows.h>

#include <fmt/format.h>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/dense_copies.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve {
namespace detail {
namespace {
// Whether x has rows as the first input has, and they have gaps.
bool must_be_copied(const View& x, const View& first) {
  return x.rank() == first.rank() && x.shape.back() > 1 && x.strides.back() != 1;
}
}  // namespace

size_t row_scratch(Views in) {
  size_t bytes = 0;
  for (const View& x : in)
    if (must_be_copied(x, in[0])) bytes += DenseCopies::bytes(x);
  return bytes;
}

void run_rows(Backend& on, RowFn fn, Views in, Views out, const View& scratch) {
  std::array<View, 4> all{};
  DenseCopies copies(on, scratch);
  for (size_t i = 0; i < in.size(); ++i) all[i] = must_be_copied(in[i], in[0]) ? copies.of(in[i]) : in[i];
  const auto end = std::copy(out.begin(), out.end(), all.begin() + in.size());
  // What is one number for each row gets an axis for it.
  for (auto v = all.begin() + 1; v != end; ++v)
    if (v->rank() < in[0].rank()) v->shape.push_back(1), v->strides.push_back(1);
  on.rows(fn, Views(all.data(), in.size()), Views(all.data() + in.size(), out.size()));
}

Specs infer_soft_slope(std::string_view op, const Specs& in) {
  require_inputs(in, 2, op);
  const Spec y = infer_rows(RowFn::softmax, op.data(), {in[0]})[0];
  if (in[1] != y)
    throw ShapeError(fmt::format("{}: {} with a gradient {}; required is the same of both", op, to_string(y),
                                 to_string(in[1])));
  return {y};
}

Specs infer_rows(RowFn fn, const char* op, const Specs& in) {
  require_inputs(in, 1, op);
  const Spec& x = in[0];
  if (x.shape.empty())
    throw ShapeError(fmt::format("{}: {}; required is at least one axis", op, to_string(x)));
  const bool soft = fn == RowFn::softmax || fn == RowFn::log_softmax;
  const bool native = x.dtype == DType::f32 || x.dtype == DType::f64 ||
                      (!soft && (x.dtype == DType::i64 || x.dtype == DType::u64));
  if (!native)
    throw DTypeError(fmt::format("{}: dtype {} is not computed in; cast first", op, name_of(x.dtype)));
  if (fn == RowFn::sort || fn == RowFn::sort_descending) return {x, {DType::i64, x.shape}};
  if (fn != RowFn::argmax && fn != RowFn::argmin) return {x};
  Shape out = x.shape;
  if (out.back() == 0 && numel(out) == 0) {
    out.back() = 1;
    if (numel(out) != 0)
      throw ShapeError(fmt::format("{}: no elements along the last axis of {}", op, to_string(x.shape)));
  }
  out.erase(out.rank() - 1);
  return {{DType::i64, out}};
}

}  // namespace detail

template <RowFn kFn>
Tensors RowOp<kFn>::vjp(const Saved& s, const Tensors& dy) const
    requires(kFn != RowFn::argmax && kFn != RowFn::argmin) {
  if constexpr (kFn == RowFn::softmax) {
    return {apply_one(SoftmaxSlope{}, {s.output(0), dy[0]})};
  } else if constexpr (kFn == RowFn::log_softmax) {
    return {apply_one(LogSoftmaxSlope{}, {s.output(0), dy[0]})};
  } else if constexpr (kFn == RowFn::cumsum) {
    return {flip(cumsum(flip(dy[0], -1), -1), -1)};
  } else {
    return {scatter_add(zeros_like(dy[0]), -1, s.output(1), dy[0])};
  }
}

template struct RowOp<RowFn::softmax>;
template struct RowOp<RowFn::log_softmax>;
template struct RowOp<RowFn::cumsum>;
template struct RowOp<RowFn::argmax>;
template struct RowOp<RowFn::argmin>;
template struct RowOp<RowFn::sort>;
template struct RowOp<RowFn::sort_descending>;

template <RowFn kFn>
Tensors SoftSlope<kFn>::vjp(const Saved& s, const Tensors& g) const {
  const Tensor y = s.input(0), dy = s.input(1);
  const auto total = [](const Tensor& x) { return sum(x, {-1}, true); };
  if constexpr (kFn == RowFn::softmax_slope) {
    const Tensor by_y = s.wants(0) ? g[0] * (dy - total(y * dy)) - dy * total(g[0] * y) : Tensor();
    return {by_y, apply_one(SoftmaxSlope{}, {y, g[0]})};
  } else {
    const Tensor weighted = g[0] * exp(y);
    const Tensor by_y = s.wants(0) ? -(weighted * total(dy)) : Tensor();
    return {by_y, g[0] - total(weighted)};
  }
}
template struct SoftSlope<RowFn::softmax_slope>;
template struct SoftSlope<RowFn::log_softmax_slope>;

namespace {

// Logits that rows are computed in, [..., classes], and targets for them.
void check_entropy(const Specs& in, const char* op) {
  const Spec x = detail::infer_rows(RowFn::softmax, op, {in[0]})[0];
  if (in[1].dtype != DType::i64)
    throw DTypeError(fmt::format("{}: {} targets; required are i64, cast them", op, name_of(in[1].dtype)));
  Shape each = x.shape;
  each.erase(each.rank() - 1);
  if (in[1].shape != each)
    throw ShapeError(fmt::format("{}: logits {} with targets {}; required are [..., classes] and [...]", op,
                                 to_string(x.shape), to_string(in[1].shape)));
}

}  // namespace

Specs CrossEntropy::infer(const Specs& in) const {
  require_inputs(in, 2, "cross_entropy");
  check_entropy(in, "cross_entropy");
  return {{in[0].dtype, in[1].shape}};
}

Tensors CrossEntropy::vjp(const Saved& s, const Tensors& dy) const {
  return {apply_one(CrossEntropySlope{}, {s.input(0), s.input(1), dy[0]})};
}

Specs CrossEntropySlope::infer(const Specs& in) const {
  require_inputs(in, 3, "cross_entropy_slope");
  check_entropy(in, "cross_entropy_slope");
  if (in[2].dtype != in[0].dtype)
    throw DTypeError(fmt::format("cross_entropy_slope: dtypes {} and {} differ; cast one",
                                 name_of(in[0].dtype), name_of(in[2].dtype)));
  if (in[2].shape != in[1].shape)
    throw ShapeError(fmt::format("cross_entropy_slope: {} gradients for {} targets; required is one for each",
                                 to_string(in[2].shape), to_string(in[1].shape)));
  return {in[0]};
}

// With p = softmax(x): by x, what softmax makes of the gradient dy g; by dy, the sum of g (p - one_hot).
Tensors CrossEntropySlope::vjp(const Saved& s, const Tensors& g) const {
  const Tensor p = softmax(s.input(0));
  const Tensor dx = unsqueeze(s.input(2), -1) * apply_one(SoftmaxSlope{}, {p, g[0]});
  if (!s.wants(2)) return {dx};
  const Tensor mean = sum(p * g[0], {-1}, true);
  return {dx, {}, squeeze(mean - gather(g[0], -1, unsqueeze(s.input(1), -1)), -1)};
}

namespace {

// x with `axis` last, in a dtype that rows are computed in.
Tensor as_rows(const Tensor& x, int64_t axis, const char* op) {
  const int at = normalize_axis(axis, x.rank(), op);
  const Tensor computed = cast(x, dtype_of_compute(compute_of(x.dtype())));
  return at == x.rank() - 1 ? computed : transpose(computed, at, -1);
}
// And back.
Tensor as_given(const Tensor& y, int64_t axis, DType dtype) {
  const int at = normalize_axis(axis, y.rank(), "rows");
  return cast(at == y.rank() - 1 ? y : transpose(y, at, -1), dtype);
}

Tensor arg(const Tensor& x, int64_t axis, bool keepdims, bool largest) {
  const Tensor rows = as_rows(x, axis, largest ? "argmax" : "argmin");
  const Tensor found = unsqueeze(largest ? apply_one(Argmax{}, {rows}) : apply_one(Argmin{}, {rows}), -1);
  const Tensor kept = as_given(found, axis, DType::i64);
  return keepdims ? kept : squeeze(kept, axis);
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) {
  return as_given(apply_one(Softmax{}, {as_rows(x, axis, "softmax")}), axis, x.dtype());
}
Tensor log_softmax(const Tensor& x, int64_t axis) {
  return as_given(apply_one(LogSoftmax{}, {as_rows(x, axis, "log_softmax")}), axis, x.dtype());
}
Tensor cumsum(const Tensor& x, int64_t axis) {
  const Tensor y = apply_one(Cumsum{}, {as_rows(x, axis, "cumsum")});
  return as_given(y, axis, is_floating(x.dtype()) ? x.dtype() : y.dtype());
}
Tensor argmax(const Tensor& x, int64_t axis, bool keepdims) { return arg(x, axis, keepdims, true); }
Tensor argmin(const Tensor& x, int64_t axis, bool keepdims) { return arg(x, axis, keepdims, false); }

Sorted sort(const Tensor& x, int64_t axis, bool descending) {
  const Tensor rows = as_rows(x, axis, "sort");
  const Tensors y = descending ? apply_op(SortDescending{}, {rows}) : apply_op(Sort{}, {rows});
  return {as_given(y[0], axis, x.dtype()), as_given(y[1], axis, DType::i64)};
}

Sorted topk(const Tensor& x, int64_t k, int64_t axis, bool largest) {
  if (k < 0 || k > x.size(axis))
    throw ShapeError(fmt::format("topk: {} of the {} along axis {}", k, x.size(axis), axis));
  const Sorted all = sort(x, axis, largest);
  return {slice(all.values, axis, 0, k), slice(all.indices, axis, 0, k)};
}

}  // namespace varve
