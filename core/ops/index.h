// Ops that pick and place by index, and what is made of them.
#pragma once

#include <varve/core/op.h>

namespace varve {

// y[i.., j, k..] = x[i.., index[i.., j, k..], k..] along axis; the other sizes broadcast.
struct Gather {
  static constexpr OpName name{"gather", 1};
  static constexpr bool refuses = true;
  int64_t axis = 0;
  static void fields(auto& self, auto&& field) { field("axis", self.axis); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  VARVE_API std::optional<RowUse> rows(Views in, Views out) const;
  Keep keep() const { return {2, 0}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

// y = base, then y[i.., index[i.., j, k..], k..] += x[i.., j, k..]; index broadcasts to x.
struct ScatterAdd {
  static constexpr OpName name{"scatter_add", 1};
  static constexpr bool refuses = true;
  int64_t axis = 0;
  static void fields(auto& self, auto&& field) { field("axis", self.axis); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  Keep keep() const { return {2, 0}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

// Indices are i64; negative ones count from the end; one out of range is an Error.

// y[i.., j, k..] = x[i.., index[i.., j, k..], k..], j along `axis`; the other sizes broadcast.
VARVE_API Tensor gather(const Tensor& x, int64_t axis, const Tensor& index);
// base with x added: y[i.., index[i.., j, k..], k..] += x[i.., j, k..] in order of j along `axis`; index
// broadcasts to x, whose other sizes are base's.
VARVE_API Tensor scatter_add(const Tensor& base, int64_t axis, const Tensor& index, const Tensor& x);
// x with `axis` replaced by its entries at `index` (one axis).
VARVE_API Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index);
// Rows of weight [vocabulary, width] at `index` [...]: [..., width].
VARVE_API Tensor embedding(const Tensor& weight, const Tensor& index);
// 1 at index [...] along a new last axis of `classes`, else 0.
VARVE_API Tensor one_hot(const Tensor& index, int64_t classes, DType dtype = DType::f32);
// The lower (upper) triangle of the last two axes, from the diagonal-th diagonal; zero elsewhere.
VARVE_API Tensor tril(const Tensor& x, int64_t diagonal = 0);
VARVE_API Tensor triu(const Tensor& x, int64_t diagonal = 0);

}  // namespace varve
