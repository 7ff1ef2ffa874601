// Pointwise functions: rows of f32 and of halves by fours where they lie so, else element by element.
#include <algorithm>

#include <varve/core/error.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/pointwise.h>

namespace varve::cuda {
namespace {

const PointwiseTable& table() {
  static const PointwiseTable instance = [] {
    PointwiseTable t;
    fill_pointwise_f32(t);
    fill_pointwise_halves(t);
    fill_pointwise_f64(t);
    fill_pointwise_integers(t);
    return t;
  }();
  return instance;
}

// Whether the operands are rows, and how; inputs may be one number on each row.
bool are_rows(const Space& space, int ins, RowForm& form) {
  if (space.rank > 2 || (space.rank == 2 && (space.size[1] % 4 != 0 || space.total > INT32_MAX)))
    return false;
  form.quads = space.rank == 2 ? static_cast<uint32_t>(space.size[1] / 4) : 0;
  for (int k = 0; k < space.operands; ++k) {
    const Operand& o = space.operand[k];
    const bool fits = o.dtype == DType::f32 || is_half(o.dtype);
    if (k < ins && space.rank > 0 && space.inner_stride(k) == 0) {
      if (!fits && o.dtype != DType::f64) return false;
      form.numbers |= 1u << k;
      continue;
    }
    const bool dense = space.rank == 0 || space.inner_stride(k) == 1;
    if (!fits || !dense || reinterpret_cast<uintptr_t>(o.data) % (4 * size_of(o.dtype)) != 0) return false;
    if (space.rank == 2 && o.strides[0] % 4 != 0) return false;
  }
  return true;
}

bool has_halves(const Space& space) {
  return std::any_of(space.operand, space.operand + space.operands,
                     [](const Operand& o) { return is_half(o.dtype); });
}

}  // namespace

void drive_pointwise(Context& on, pointwise::Id fn, const double* constants, Views in, Views out) {
  const Space space(out[0].shape, in, out);
  if (space.total == 0) return;
  const Compute c = compute_of(out[0].dtype == DType::boolean ? in.back().dtype : out[0].dtype);
  const auto function = static_cast<size_t>(fn);
  RowForm form;
  if (c == Compute::f32 && are_rows(space, static_cast<int>(in.size()), form))
    return (has_halves(space) ? table().halves : table().rows)[function](on, space, constants, form);
  const auto start = table().any[function][static_cast<size_t>(c)];
  if (!start) throw Error("cuda: a pointwise function was called for a dtype that it is not for");
  start(on, space, constants);
}

}  // namespace varve::cuda
