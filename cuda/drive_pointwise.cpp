// Pointwise functions: rows of f32 by fours where they lie so, else element by element.
#include <varve/core/error.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/pointwise.h>

namespace varve::cuda {
namespace {

const PointwiseTable& table() {
  static const PointwiseTable instance = [] {
    PointwiseTable t;
    fill_pointwise_f32(t);
    fill_pointwise_f64(t);
    fill_pointwise_integers(t);
    return t;
  }();
  return instance;
}

// Whether all operands are one row of f32 or, inputs only, one number; then `numbers` says which.
bool is_row(const Space& space, int ins, unsigned& numbers) {
  if (space.rank > 1) return false;
  for (int k = 0; k < space.operands; ++k) {
    const Operand& o = space.operand[k];
    if (k < ins && space.rank == 1 && o.strides[0] == 0) {
      numbers |= 1u << k;
      continue;
    }
    const bool dense = space.rank == 0 || o.strides[0] == 1;
    if (o.dtype != DType::f32 || !dense || reinterpret_cast<uintptr_t>(o.data) % 16 != 0) return false;
  }
  return true;
}

}  // namespace

void drive_pointwise(Context& on, pointwise::Id fn, std::span<const double> constants, Views in, Views out) {
  const Space space(out[0].shape, in, out);
  if (space.total == 0) return;
  const Compute c = compute_of(out[0].dtype == DType::boolean ? in.back().dtype : out[0].dtype);
  const auto function = static_cast<size_t>(fn);
  unsigned numbers = 0;
  if (c == Compute::f32 && is_row(space, static_cast<int>(in.size()), numbers))
    return table().row[function](on, space, constants.data(), numbers);
  const auto start = table().any[function][static_cast<size_t>(c)];
  if (!start) throw Error("cuda: a pointwise function was called for a dtype that it is not for");
  start(on, space, constants.data());
}

}  // namespace varve::cuda
