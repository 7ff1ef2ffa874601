// Inputs to try every op on.
#pragma once

#include <varve/core/ops/list.h>
#include <varve/core/record.h>

#include "tests/core/draws.h"

namespace varve::test {

// Which dtypes an op takes.
enum class Accepts { floating, all, rows, soft_rows };
inline bool accepted(Accepts accepts, DType dtype) {
  const bool wide = dtype == DType::f32 || dtype == DType::f64;
  switch (accepts) {
    case Accepts::floating:
      return is_floating(dtype);
    case Accepts::rows:
      return wide || dtype == DType::i64 || dtype == DType::u64;
    case Accepts::soft_rows:
      return wide;
    default:
      return true;
  }
}

// A sample of any op.
struct AnySample {
  OpPtr op;
  Tensors in;
  uint32_t fixed;  // bit i: input i must stay contiguous
  // Of a view op: which element of the input an element of the output is.
  Dims (*source)(const AnyOp& op, const Shape& in, const Shape& out, const Dims& at, size_t output);
};
struct OpSamples {
  std::string_view name;
  Accepts accepts;
  std::vector<AnySample> (*make)(DType dtype);
};

// The samples of every op in AllOps, in its order. Compiled once (samples.cpp): tests walk data, not types.
const std::vector<OpSamples>& all_samples();

// Calls f(samples) with the samples of each op that takes `dtype`.
template <class F>
void for_each_op(DType dtype, F&& f) {
  for (const OpSamples& op : all_samples())
    if (accepted(op.accepts, dtype)) f(op.make(dtype));
}

// How the elements of a tensor lie in memory: in order, transposed, with gaps, backwards, or all from the
// first.
enum class Layout { plain, transposed, gaps, backwards, expanded };
inline constexpr Layout kLayouts[] = {Layout::plain, Layout::transposed, Layout::gaps, Layout::backwards,
                                      Layout::expanded};

inline const char* name_of(Layout layout) {
  constexpr const char* kNames[] = {"plain", "transposed", "gaps", "backwards", "expanded"};
  return kNames[static_cast<size_t>(layout)];
}

// x in that layout, in memory of its own; the values stay but for `expanded`.
inline Tensor laid_out(const Tensor& x, Layout layout) {
  const NoGrad guard;
  const Tensor own = clone(x.detach());
  if (own.rank() == 0 || layout == Layout::plain) return own;
  if (layout == Layout::gaps) {
    Tensor spread = own;
    for (int axis = 0; axis < own.rank(); ++axis) spread = pad(spread, axis, 1, 2, 0, 1);
    for (int axis = 0; axis < own.rank(); ++axis)
      spread = slice(spread, axis, 1, 1 + std::max<int64_t>(2 * own.size(axis) - 1, 0), 2);
    return spread;
  }
  if (layout == Layout::expanded) return own.numel() ? expand(slice(own, 0, 0, 1), own.shape()) : own;
  Axes reversed;
  for (int axis = own.rank(); axis-- > 0;) reversed.push_back(axis);
  if (layout == Layout::transposed) return permute(clone(permute(own, reversed)), reversed);
  Tensor flipped = own;
  for (int64_t axis : reversed) flipped = flip(flipped, axis);
  flipped = clone(flipped);
  for (int64_t axis : reversed) flipped = flip(flipped, axis);
  return flipped;
}

}  // namespace varve::test
