// Which products are small ones, and what becomes part of them.
#include <varve/cuda/small_product.h>

#include <algorithm>
#include <iterator>

#include <varve/core/axes.h>
#include <varve/core/index_range.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/space.h>

namespace varve::cuda {
namespace {

constexpr int64_t kFewestTerms = 32;                // that each part of a product should have
constexpr int64_t kEnoughBlocks = 256;              // beyond them, sums are not cut
constexpr int64_t kMostWork = int64_t{1} << 24;     // multiplications of small products, in all
constexpr int64_t kMostInLayer = int64_t{1} << 22;  // or of each of many
constexpr int64_t kMostLayers = 65535;              // blocks along y and along z

// What the product does with a function: its place in ProductFunctions, and what its inputs are.
struct KnownFunction {
  unsigned place;
  int inputs, product, numbers, constants;
};
std::optional<KnownFunction> known(pointwise::Id function) {
  std::optional<KnownFunction> found;
  unsigned place = 0;
  for_each_type(ProductFunctions{}, [&]<class F>() {
    static_assert(pointwise::constants_in<F> <= std::size(ProductStep{}.constants));
    if (pointwise::id_of<F> == function)
      found = {place, F::kAbout.inputs, kProductInput<F>, F::kAbout.numbers, pointwise::constants_in<F>};
    ++place;
  });
  return found;
}

bool is_one_number(const View& v) {
  for (int i = 0; i < v.rank(); ++i)
    if (v.strides[i] != 0 && v.shape[i] != 1) return false;
  return v.dtype == DType::f32 || v.dtype == DType::f64;
}

// Of the view that is operand number `number` of the layers.
ProductSide side_of(const View& v, int line_axis, int term_axis, const Space& layers, int number) {
  const int64_t line_step = v.strides[line_axis], term_step = v.strides[term_axis];
  int64_t steps = term_step == 1 ? line_step : term_step;  // all that must be multiples of four, joined
  for (int axis = 0; axis < layers.rank; ++axis) steps |= layers.operand[number].strides[axis];
  const bool aligned = reinterpret_cast<uintptr_t>(v.data) % 16 == 0 && steps % 4 == 0;
  return {v.as<const float>(), static_cast<int>(v.shape[line_axis]),
          aligned && (term_step == 1 || line_step == 1), line_step, term_step};
}

}  // namespace

std::optional<SmallProduct> SmallProduct::of(const Context& on, const View& a, const View& b,
                                             const View& out) {
  const int row = out.rank() - 2, column = out.rank() - 1;
  const int64_t m = out.shape[row], n = out.shape[column], k = a.shape[column];
  if (!on.hopper || out.dtype != DType::f32 || out.numel() == 0 || k == 0 ||
      (out.numel() * k > kMostWork && m * n * k > kMostInLayer))
    return {};
  const View starts[] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  const Space layers(starts[2].shape, Views(starts, 3), {});
  const int64_t high = (m + kProductTile - 1) / kProductTile, wide = (n + kProductTile - 1) / kProductTile;
  if (layers.rank > 2 || high > kMostLayers || layers.total > kMostLayers) return {};
  int64_t parts = 1;
  while (parts < kMostProductParts && high * wide * layers.total * parts * 2 <= kEnoughBlocks &&
         k / (2 * parts) >= kFewestTerms)
    parts *= 2;
  SmallProduct made;
  made.p_ = {side_of(a, row, column, layers, 0),
             side_of(b, column, row, layers, 1),
             out.as<float>(),
             static_cast<int>(k),
             static_cast<int>(((k + parts - 1) / parts + 3) / 4 * 4),
             static_cast<unsigned>(parts),
             0,
             0,
             0,
             {layers.rank ? static_cast<unsigned>(layers.size[layers.rank - 1]) : 1, {}},
             {},
             {},
             {}};
  for (int axis = 0; axis < layers.rank; ++axis)
    for (int i = 0; i < 3; ++i)
      made.p_.layers.steps[axis + 2 - layers.rank][i] = layers.operand[i].strides[axis];
  made.wide_ = static_cast<unsigned>(wide * parts), made.high_ = static_cast<unsigned>(high);
  made.layers_ = static_cast<unsigned>(layers.total);
  made.last_ = out;
  return made;
}

bool SmallProduct::gives(const View& v) const {
  return v.data == last_.data && v.dtype == last_.dtype && v.shape == last_.shape &&
         v.strides == last_.strides;
}

bool SmallProduct::fits(const View& v) const { return v.dtype == DType::f32 && v.shape == last_.shape; }

bool SmallProduct::has_room() const {
  return layers_ == 1 && last_.rank() == 2 && p_.steps < kMostProductSteps;
}

// What several steps read is there once.
bool SmallProduct::add_operand(unsigned& place, const ProductOperand& operand) {
  const auto same = [&](const ProductOperand& o) {
    return o.data == operand.data && o.row_step == operand.row_step && o.column_step == operand.column_step;
  };
  const auto end = p_.operand.begin() + p_.operands, found = std::find_if(p_.operand.begin(), end, same);
  place = static_cast<unsigned>(found - p_.operand.begin());
  if (found != end) return true;
  if (p_.operands == kMostProductOperands) return false;
  p_.operand[p_.operands++] = operand;
  return true;
}

bool SmallProduct::then(pointwise::Id function, const double* constants, Views in, Views out) {
  const auto about = known(function);
  if (!about || !has_room() || !gives(in[about->product]) || (about->numbers > 0 && p_.number[0]))
    return false;
  ProductStep& step = p_.step[p_.steps++];
  step.function = about->place;
  std::copy_n(constants, about->constants, step.constants);
  for (int i = 0, operands = 0, numbers = 0; i < about->inputs; ++i) {
    if (i == about->product) continue;
    if (i < about->inputs - about->numbers) {
      if (!fits(in[i]) ||
          !add_operand(step.operand[operands++], {in[i].data, in[i].strides[0], in[i].strides[1], nullptr}))
        return false;
    } else {
      if (!is_one_number(in[i])) return false;
      p_.wide |= (in[i].dtype == DType::f64 ? 1u : 0u) << numbers;
      p_.number[numbers++] = in[i].data;
    }
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (!fits(out[i]) || !is_contiguous(out[i])) return false;
    step.out[i] = out[i].as<float>();
  }
  last_ = out[0];
  return true;
}

bool SmallProduct::then(Context& on, RowFn function, Views in, Views out) {
  if (!has_targets(function) || !has_room() || !gives(in[0]) || last_.shape[1] > kProductTile ||
      !is_contiguous(out[0]))
    return false;
  const bool slope = function == RowFn::cross_entropy_slope;
  ProductStep& step = p_.step[p_.steps++];
  step.function = slope ? kProductEntropySlope : kProductEntropy;
  step.out[0] = out[0].as<float>();
  int64_t* const verdict = check_indices(on, in[1], {"cross_entropy", last_.shape[1], false});
  if (!add_operand(step.operand[0], {in[1].data, in[1].strides[0], 0, verdict}) ||
      (slope && !add_operand(step.operand[1], {in[2].data, in[2].strides[0], 0, nullptr})))
    return false;
  if (slope) last_ = out[0];
  return true;
}

}  // namespace varve::cuda
