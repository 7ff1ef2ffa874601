// The table of the pointwise family: a function that starts the kernel, for each compute type it is for.
#pragma once

#include <varve/core/pointwise_kernels.h>
#include <varve/cuda/context.h>
#include <varve/cuda/space.h>

namespace varve::cuda {

struct PointwiseTable {
  using Any = void (*)(Context& on, const Space& space, const double* constants);
  // Operands are rows of f32, aligned to 16 bytes; those inputs whose bit is set in `numbers` are one number.
  using Row = void (*)(Context& on, const Space& space, const double* constants, unsigned numbers);

  Any any[pointwise::Kernels::size][kComputes] = {};
  Row row[pointwise::Kernels::size] = {};
};

// The parts of the table, each filled by its own file.
void fill_pointwise_f32(PointwiseTable& table);
void fill_pointwise_f64(PointwiseTable& table);
void fill_pointwise_integers(PointwiseTable& table);

}  // namespace varve::cuda
