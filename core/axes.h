// What ops and the drivers of every backend do with the axes of views.
#pragma once

#include <algorithm>
#include <span>

#include <varve/core/view.h>

namespace varve {

// Drops axes of size 1, and joins an axis to the next where every operand (anything with `strides`) steps
// over both alike. Returns how many are left.
template <class Operand>
int merge_axes(std::span<int64_t> size, std::span<Operand> operands) {
  int kept = 0;
  for (size_t axis = 0; axis < size.size(); ++axis) {
    if (size[axis] == 1) continue;
    const auto joins = [&](const Operand& o) { return o.strides[kept - 1] == o.strides[axis] * size[axis]; };
    const bool join = kept > 0 && std::all_of(operands.begin(), operands.end(), joins);
    const int to = join ? kept - 1 : kept++;
    size[to] = join ? size[to] * size[axis] : size[axis];
    for (Operand& o : operands) o.strides[to] = o.strides[axis];
  }
  return kept;
}

// The view at the beginning of an axis, which goes.
inline View without_axis(View v, int axis) {
  v.shape.erase(axis);
  v.strides.erase(axis);
  return v;
}

// Every leading index as one element, for the rows, or the matrices, that hang off them.
inline View row_starts(const View& v) { return without_axis(v, v.rank() - 1); }
inline View matrix_starts(const View& v) { return row_starts(row_starts(v)); }

// With stride 0 along `axis` and the size that `shape` has there: what lies at the axis is found by index
// instead.
inline View pinned(View v, int axis, const Shape& shape) {
  v.shape[axis] = shape[axis];
  v.strides[axis] = 0;
  return v;
}

// Each place in memory once: axes that were broadcast have size 1.
inline View without_broadcast(View v) {
  for (int i = 0; i < v.rank(); ++i)
    if (v.strides[i] == 0 && v.shape[i] > 1) v.shape[i] = 1;
  return v;
}

}  // namespace varve
