#include <varve/core/ops/index.h>

#include <fmt/format.h>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve {
namespace {

void check_index(const Spec& x, const Spec& index, const char* op) {
  if (index.dtype != DType::i64)
    throw DTypeError(fmt::format("{}: the index is {}; required is i64, cast it", op, name_of(index.dtype)));
  if (index.shape.rank() != x.shape.rank())
    throw ShapeError(fmt::format("{}: index {} for a tensor {}; the number of axes must agree", op,
                                 to_string(index.shape), to_string(x.shape)));
}

// `shape` with another size along `axis`.
Shape resized(Shape shape, int axis, int64_t size) {
  shape[axis] = size;
  return shape;
}

}  // namespace

Specs Gather::infer(const Specs& in) const {
  require_inputs(in, 2, "gather");
  check_index(in[0], in[1], "gather");
  const int at = normalize_axis(axis, in[0].shape.rank(), "gather");
  const Shape others = broadcast(resized(in[0].shape, at, 1), resized(in[1].shape, at, 1), "gather");
  return {{in[0].dtype, resized(others, at, in[1].shape[at])}};
}

void Gather::run(Backend& on, Views in, Views out, const View&) const {
  const int at = normalize_axis(axis, out[0].rank(), "gather");
  const View x = expanded(in[0], resized(out[0].shape, at, in[0].shape[at]));
  on.gather(x, expanded(in[1], out[0].shape), at, out[0]);
}

std::optional<RowUse> Gather::rows(Views in, Views out) const {
  const int rank = out[0].rank(), at = normalize_axis(axis, rank, "gather");
  if (at == rank - 1) return RowUse{};
  return rank == 2 && in[0].shape[1] == out[0].shape[1] ? std::optional(RowUse{.whole = 1}) : std::nullopt;
}

Tensors Gather::vjp(const Saved& s, const Tensors& dy) const {
  const int at = normalize_axis(axis, dy[0].rank(), "gather");
  const Shape full_shape = resized(dy[0].shape(), at, s.in_spec(0).shape[at]);
  return {scatter_add(zeros(full_shape, dy[0].dtype()), at, s.input(1), dy[0])};
}

Specs ScatterAdd::infer(const Specs& in) const {
  require_inputs(in, 3, "scatter_add");
  check_index(in[0], in[1], "scatter_add");
  const int at = normalize_axis(axis, in[0].shape.rank(), "scatter_add");
  if (in[0].dtype != in[2].dtype)
    throw DTypeError(fmt::format("scatter_add: dtypes {} and {} differ; cast one", name_of(in[0].dtype),
                                 name_of(in[2].dtype)));
  const bool fits = in[2].shape.rank() == in[0].shape.rank() &&
                    resized(in[2].shape, at, 1) == resized(in[0].shape, at, 1) &&
                    broadcast(in[1].shape, in[2].shape, "scatter_add") == in[2].shape;
  if (!fits)
    throw ShapeError(
        fmt::format("scatter_add: adding {} at index {} into {}; sizes may differ along axis {} only",
                    to_string(in[2].shape), to_string(in[1].shape), to_string(in[0].shape), axis));
  return {in[0]};
}

void ScatterAdd::run(Backend& on, Views in, Views out, const View&) const {
  on.copy(in[0], out[0]);
  on.scatter_add(in[2], expanded(in[1], in[2].shape), normalize_axis(axis, out[0].rank(), "scatter_add"),
                 out[0]);
}

Tensors ScatterAdd::vjp(const Saved& s, const Tensors& dy) const {
  return {dy[0], {}, s.wants(2) ? gather(dy[0], axis, s.input(1)) : Tensor()};
}

Tensor gather(const Tensor& x, int64_t axis, const Tensor& index) {
  return apply_one(Gather{axis}, {x, index});
}

Tensor scatter_add(const Tensor& base, int64_t axis, const Tensor& index, const Tensor& x) {
  return apply_one(ScatterAdd{axis}, {base, index, x});
}

Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index) {
  if (index.rank() != 1)
    throw ShapeError(fmt::format("index_select: index {}; required is one axis", to_string(index.shape())));
  const int at = normalize_axis(axis, x.rank(), "index_select");
  Tensor spread = index;
  for (int i = 0; i < at; ++i) spread = unsqueeze(spread, 0);
  for (int i = at + 1; i < x.rank(); ++i) spread = unsqueeze(spread, -1);
  return gather(x, at, spread);
}

Tensor embedding(const Tensor& weight, const Tensor& index) {
  if (weight.rank() != 2)
    throw ShapeError(
        fmt::format("embedding: weight {}; required is [vocabulary, width]", to_string(weight.shape())));
  Shape shape = index.shape();
  shape.push_back(weight.shape()[1]);
  return reshape(index_select(weight, 0, reshape(index, {-1})), shape);
}

Tensor one_hot(const Tensor& index, int64_t classes, DType dtype) {
  const OnDevice on(index.device());
  const Tensor at = unsqueeze(index, -1);
  Shape shape = index.shape();
  shape.push_back(classes);
  return scatter_add(zeros(shape, dtype), -1, at, expand(ones({}, dtype), at.shape()));
}

namespace {
// column - row over the last two axes
Tensor offsets(const Tensor& x, const char* op) {
  if (x.rank() < 2) throw ShapeError(fmt::format("{}: {} has fewer than 2 axes", op, to_string(x.shape())));
  const OnDevice on(x.device());
  return arange(x.size(-1)) - unsqueeze(arange(x.size(-2)), 1);
}
}  // namespace

Tensor tril(const Tensor& x, int64_t diagonal) {
  return where(offsets(x, "tril") <= static_cast<double>(diagonal), x, scalar_like(0, x));
}

Tensor triu(const Tensor& x, int64_t diagonal) {
  return where(offsets(x, "triu") >= static_cast<double>(diagonal), x, scalar_like(0, x));
}

}  // namespace varve
