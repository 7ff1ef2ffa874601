// RowCut: the rows of a result, all of its axes but the last, cut into parts of about the same size.
#pragma once

#include <varve/core/view.h>

namespace varve {

// How an input lies beside the rows of its op's result: cut along with them (aligned at the last axis, where
// it is not broadcast), its last two axes needed whole, its rows along its last axis, one element for each
// row; or in memory of a part's own, which begins with the part.
enum class Beside : uint8_t { rows, whole, turned, flat, inner };

struct VARVE_API RowCut {
  Shape rows;    // sizes of the axes but the last
  int axis = 0;  // is cut into `pieces`; each index of the axes before it is a part of its own
  int64_t pieces = 1;

  int64_t parts() const;
  // Rows of the largest part.
  int64_t most_rows() const;
  // What part number `part` sees of a result or input.
  View of(View v, Beside beside, int64_t part) const;
};

// About `wanted` parts, each with at least `fewest` indices of the last row axis.
VARVE_API RowCut cut_rows(const Shape& rows, int64_t wanted, int64_t fewest);

}  // namespace varve
