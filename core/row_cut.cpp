#include <varve/core/row_cut.h>

#include <algorithm>

namespace varve {
namespace {

int64_t product(const Shape& shape, int first, int last) {
  int64_t n = 1;
  for (int i = first; i < last; ++i) n *= shape[i];
  return n;
}

}  // namespace

int64_t RowCut::parts() const { return product(rows, 0, axis) * pieces; }

int64_t RowCut::most_rows() const {
  return (rows[axis] + pieces - 1) / pieces * product(rows, axis + 1, rows.rank());
}

View RowCut::of(View v, Beside beside, int64_t part) const {
  const auto narrow = [&](int row_axis, int64_t first, int64_t last) {
    int at = row_axis + v.rank() - rows.rank() - (beside == Beside::flat ? 0 : 1);
    if (row_axis == rows.rank() - 1) {
      if (beside == Beside::whole) return;
      if (beside == Beside::turned) at = v.rank() - 1;
    }
    if (at < 0 || v.shape[at] == 1) return;
    if (beside != Beside::inner) v = v.at(first * v.strides[at]);
    v.shape[at] = last - first;
  };
  int64_t index = part / pieces;
  const int64_t piece = part % pieces;
  for (int i = axis; i-- > 0; index /= rows[i]) narrow(i, index % rows[i], index % rows[i] + 1);
  narrow(axis, piece * rows[axis] / pieces, (piece + 1) * rows[axis] / pieces);
  return v;
}

RowCut cut_rows(const Shape& rows, int64_t wanted, int64_t fewest) {
  int64_t before = 1;
  for (int i = 0; i < rows.rank() && numel(rows) > 0; before *= rows[i++]) {
    const bool last = i == rows.rank() - 1;
    if (!last && before * rows[i] < wanted) continue;
    const int64_t most = std::max<int64_t>(1, last ? rows[i] / fewest : rows[i]);
    return {rows, i, std::clamp<int64_t>((wanted + before - 1) / before, 1, most)};
  }
  return {rows, 0, 1};
}

}  // namespace varve
