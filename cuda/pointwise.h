// The table of the pointwise family: a function that starts the kernel, for each compute type it is for.
#pragma once

#include <varve/core/pointwise_kernels.h>
#include <varve/cuda/context.h>
#include <varve/cuda/space.h>

namespace varve::cuda {

// Of operands that are rows of f32, or of halves, too, whose fours are aligned: one, or several of a multiple
// of four elements.
struct RowForm {
  unsigned numbers = 0;  // bits of those inputs that are one number on a row, of f64 as it may be
  uint32_t quads = 0;    // fours of a row; 0 where there is one row
};

struct PointwiseTable {
  using Any = void (*)(Context& on, const Space& space, const double* constants);
  using Rows = void (*)(Context& on, const Space& space, const double* constants, const RowForm& form);

  Any any[pointwise::Kernels::size][kComputes] = {};
  Rows rows[pointwise::Kernels::size] = {}, halves[pointwise::Kernels::size] = {};
};

// The parts of the table, each filled by its own file.
void fill_pointwise_f32(PointwiseTable& table);
void fill_pointwise_halves(PointwiseTable& table);
void fill_pointwise_f64(PointwiseTable& table);
void fill_pointwise_integers(PointwiseTable& table);

}  // namespace varve::cuda
