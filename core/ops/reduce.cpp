#include <varve/core/ops/reduce.h>

#include <fmt/format.h>

#include <cmath>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>
#include <varve/core/pointwise_kernels.h>
#include <varve/core/record.h>

namespace varve {
namespace {

// y with size-1 axes where a reduction dropped them.
Tensor with_axes(Tensor y, const Axes& axes, int rank, bool kept) {
  if (!kept)
    for (int64_t axis : normalize_axes(axes, rank, "reduce")) y = unsqueeze(y, axis);
  return y;
}

Tensor shared_among_equals(const Saved& s, const Tensor& dy, const Axes& axes, bool kept) {
  const Tensor x = s.input(0);
  const int rank = x.rank();
  const Tensor mask = equal(x, with_axes(s.output(0), axes, rank, kept));
  // The count may be beyond f16.
  const Tensor share = cast(
      cast(with_axes(dy, axes, rank, kept), DType::f64) / cast(sum(mask, axes, true), DType::f64), x.dtype());
  return cast(mask, x.dtype()) * share;
}

// For each element the product of the others along the last axis: products of neighbours going up, what
// stands beside each coming down. Nothing is divided, so zeros are like any number, to every order.
Tensor product_of_others(const Tensor& x) {
  const int64_t size = x.size(-1);
  if (size <= 1) return ones_like(x);
  const Tensor paired = size % 2 ? pad(x, -1, 0, 1, 1) : x;
  const Tensor even = slice(paired, -1, 0, size + 1, 2), odd = slice(paired, -1, 1, size + 1, 2);
  const Tensor beyond = product_of_others(even * odd);
  return slice(flatten(stack({beyond * odd, beyond * even}, -1), -2, -1), -1, 0, size);
}

// The same along `axes`: they are brought to the end as one, and back.
Tensor product_of_others(const Tensor& x, const Axes& axes) {
  const Axes reduced = normalize_axes(axes, x.rank(), "prod");
  Axes order;
  for (int i = 0; i < x.rank(); ++i)
    if (!reduced.contains(i)) order.push_back(i);
  int64_t rows = 1;
  for (int64_t axis : order) rows *= x.size(axis);
  for (int64_t axis : reduced) order.push_back(axis);
  Axes back = order;
  for (int i = 0; i < x.rank(); ++i) back[static_cast<int>(order[i])] = i;
  const Tensor moved = permute(x, order);
  const Tensor others = product_of_others(reshape(moved, {rows, count_along(x.shape(), axes)}));
  return permute(reshape(others, moved.shape()), back);
}

}  // namespace

std::optional<RowUse> detail::reduced_rows(const View& in, const View& out) {
  Shape kept = in.shape;
  if (kept.empty() || in.strides.back() != 1) return std::nullopt;
  kept.back() = 1;
  return kept == out.shape ? std::optional(RowUse{}) : std::nullopt;
}

template <ReduceFn kFn>
Specs Reduce<kFn>::infer(const Specs& in) const {
  require_inputs(in, 1, name.name);
  const Axes reduced = normalize_axes(axes, in[0].shape.rank(), name.name);
  Shape out;
  for (int i = 0; i < in[0].shape.rank(); ++i) {
    if (!reduced.contains(i))
      out.push_back(in[0].shape[i]);
    else if (keepdims)
      out.push_back(1);
  }
  const bool extreme = kFn == ReduceFn::max || kFn == ReduceFn::min;
  if (extreme && count_along(in[0].shape, axes) == 0 && numel(out) != 0)
    throw ShapeError(fmt::format("{}: no elements along axes {} of {}", name.name, to_string(reduced),
                                 to_string(in[0].shape)));
  const DType x = in[0].dtype;
  const bool keeps_type = extreme || is_floating(x) || x == DType::u64;
  return {{keeps_type ? x : DType::i64, out}};
}

template <ReduceFn kFn>
void Reduce<kFn>::run(Backend& on, Views in, Views out, const View&) const {
  const Axes reduced = normalize_axes(axes, in[0].rank(), "reduce");
  Shape kept = in[0].shape;
  for (int64_t axis : reduced) kept[static_cast<int>(axis)] = 1;
  on.reduce(kFn, in[0], contiguous_view(out[0].data, {out[0].dtype, kept}));
}

template <ReduceFn kFn>
Tensors Reduce<kFn>::vjp(const Saved& s, const Tensors& dy) const {
  if constexpr (kFn == ReduceFn::sum)
    return {expand(with_axes(dy[0], axes, s.in_spec(0).shape.rank(), keepdims), s.in_spec(0).shape)};
  else if constexpr (kFn == ReduceFn::prod)
    return {with_axes(dy[0], axes, s.in_spec(0).shape.rank(), keepdims) *
            product_of_others(s.input(0), axes)};
  else
    return {shared_among_equals(s, dy[0], axes, keepdims)};
}

template struct Reduce<ReduceFn::sum>;
template struct Reduce<ReduceFn::prod>;
template struct Reduce<ReduceFn::max>;
template struct Reduce<ReduceFn::min>;

Specs Mean::infer(const Specs& in) const {
  Specs out = Sum{axes, keepdims}.infer(in);
  if (!is_floating(in[0].dtype))
    throw DTypeError(
        fmt::format("mean: dtype {}; required is a floating type, cast first", name_of(in[0].dtype)));
  return out;
}

// A mean may fit f16 or bf16 where its sum does not: they are summed in f32.
size_t Mean::scratch(Views, Views out) const {
  return is_half(out[0].dtype) ? Spec{DType::f32, out[0].shape}.bytes() : 0;
}

void Mean::run(Backend& on, Views in, Views out, const View& scratch) const {
  const bool narrow = this->scratch(in, out) != 0;
  const View total = narrow ? contiguous_view(scratch.data, {DType::f32, out[0].shape}) : out[0];
  Sum{axes, keepdims}.run(on, in, Views(&total, 1), {});
  const double count = static_cast<double>(count_along(in[0].shape, axes));
  on.pointwise(pointwise::id_of<pointwise::DivideBy>, std::span(&count, 1), Views(&total, 1), out);
}

Tensors Mean::vjp(const Saved& s, const Tensors& dy) const {
  const Shape& shape = s.in_spec(0).shape;
  const Tensor share = dy[0] / static_cast<double>(count_along(shape, axes));
  return {expand(with_axes(share, axes, shape.rank(), keepdims), shape)};
}

Tensor sum(const Tensor& x, const Axes& axes, bool keepdims) { return apply_one(Sum{axes, keepdims}, {x}); }
Tensor prod(const Tensor& x, const Axes& axes, bool keepdims) { return apply_one(Prod{axes, keepdims}, {x}); }
Tensor max(const Tensor& x, const Axes& axes, bool keepdims) { return apply_one(Max{axes, keepdims}, {x}); }
Tensor min(const Tensor& x, const Axes& axes, bool keepdims) { return apply_one(Min{axes, keepdims}, {x}); }

Tensor mean(const Tensor& x, const Axes& axes, bool keepdims) { return apply_one(Mean{axes, keepdims}, {x}); }

Tensor var(const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  // The sum of squares may be beyond f16: it is taken in f32.
  const Tensor wide = cast(x, dtype_of_compute(compute_of(x.dtype())));
  const Tensor centred = wide - mean(wide, axes, true);
  const Tensor squares = sum(centred * centred, axes, keepdims);
  return cast(squares / (static_cast<double>(count_along(x.shape(), axes)) - correction), x.dtype());
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdims) {
  if (count_along(x.shape(), axes) == 0) return log(sum(exp(x), axes, keepdims));  // of nothing: -inf
  Tensor peak = max(x.detach(), axes, true);
  peak = where(equal(abs(peak), scalar_like(HUGE_VAL, peak)), scalar_like(0, peak), peak);
  const Tensor shifted = log(sum(exp(x - peak), axes, keepdims));
  return shifted + (keepdims ? peak : reshape(peak, shifted.shape()));
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  Axes axes;
  const int extra = x.rank() - shape.rank();
  for (int i = 0; i < x.rank(); ++i)
    if (i < extra || (shape[i - extra] == 1 && x.shape()[i] != 1)) axes.push_back(i);
  if (axes.empty()) return x;
  const bool gone = axes.rank() == extra;  // all of them
  const Tensor summed = sum(x, axes, !gone);
  return gone ? summed : reshape(summed, shape);
}

int64_t count_along(const Shape& shape, const Axes& axes) {
  int64_t count = 1;
  for (int64_t axis : normalize_axes(axes, shape.rank(), "reduce")) count *= shape[static_cast<int>(axis)];
  return count;
}

}  // namespace varve
