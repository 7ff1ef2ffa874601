// Samples<Op>: inputs to try an op on. Every op in AllOps has a specialisation; one without does not compile.
#pragma once

#include <varve/core/ops/list.h>

#include "tests/core/samples_ops.h"
#include "tests/core/samples_pointwise.h"
#include "tests/core/samples_views.h"

namespace varve::test {

// Calls f.template operator()<T>(samples) with the samples of each op of the list in `dtype`, if the op takes
// it.
template <class F>
void for_each_op(DType dtype, F&& f) {
  for_each_type(AllOps{}, [&]<class T>() {
    if (!accepted(Samples<T>::kAccepts, dtype)) return;
    Draws draws(index_in<T>(AllOps{}) + 1);
    f.template operator()<T>(Samples<T>::make(draws, dtype));
  });
}

// How the elements of a tensor lie in memory: in order, transposed, with gaps, backwards, or all from the
// first.
enum class Layout { plain, transposed, gaps, backwards, expanded };
inline constexpr Layout kLayouts[] = {Layout::plain, Layout::transposed, Layout::gaps, Layout::backwards,
                                      Layout::expanded};

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
