#include <varve/core/ops/views.h>

#include <fmt/format.h>

#include <algorithm>

#include <varve/core/axes.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/record.h>

namespace varve {
namespace {

// `view` under `shape` (of as many elements), if strides can say it: each run of old axes that lies in one
// piece must be filled exactly by new axes.
std::optional<View> reshaped(const View& view, const Shape& shape) {
  View out{view.data, view.dtype, shape, contiguous_strides(shape)};
  if (is_contiguous(view)) return out;
  View old = view;
  for (int i = old.rank(); i-- > 0;)
    if (old.shape[i] == 1) old.shape.erase(i), old.strides.erase(i);
  int next = shape.rank();
  for (int i = old.rank(); i > 0;) {
    int first = i - 1;
    int64_t size = old.shape[first], held = 1;
    while (first > 0 && old.strides[first - 1] == old.strides[first] * old.shape[first])
      size *= old.shape[--first];
    while (next > 0 && held < size) {
      out.strides[--next] = old.strides[i - 1] * held;
      held *= shape[next];
    }
    if (held != size) return std::nullopt;
    i = first;
  }
  return out;
}

void copy_in_order(Backend& on, const View& in, const View& out) {
  on.copy(in, contiguous_view(out.data, {out.dtype, in.shape}));
}

const Spec& one_input(const Specs& in, const char* op) {
  require_inputs(in, 1, op);
  return in[0];
}

}  // namespace

// ---- reshape, flatten ----

Specs Reshape::infer(const Specs& in) const {
  const Spec& x = one_input(in, "reshape");
  Shape out = shape;
  int64_t known = 1;
  int open = -1;
  for (int i = 0; i < out.rank(); ++i) {
    if (out[i] == -1 && open < 0)
      open = i;
    else if (out[i] < 0 || __builtin_mul_overflow(known, out[i], &known))
      throw ShapeError(
          fmt::format("reshape: {} is no shape; sizes are at least 0, and one may be -1", to_string(shape)));
  }
  const int64_t total = numel(x.shape);
  if (open >= 0) out[open] = known == 0 ? 0 : total / known;
  if (numel(out) != total || (open >= 0 && known == 0))
    throw ShapeError(fmt::format("reshape: cannot show {} ({} elements) as {}", to_string(x.shape), total,
                                 to_string(shape)));
  return {{x.dtype, out}};
}

std::optional<View> Reshape::alias(const View& in) const { return reshaped(in, infer({in.spec()})[0].shape); }

void Reshape::run(Backend& on, Views in, Views out, const View&) const { copy_in_order(on, in[0], out[0]); }

Tensors Reshape::vjp(const Saved& s, const Tensors& dy) const { return {reshape(dy[0], s.in_spec(0).shape)}; }

Specs Flatten::infer(const Specs& in) const {
  const Spec& x = one_input(in, "flatten");
  if (x.shape.empty()) return {{x.dtype, {1}}};
  const int a = normalize_axis(first, x.shape.rank(), "flatten"),
            b = normalize_axis(last, x.shape.rank(), "flatten");
  if (a > b) throw ShapeError(fmt::format("flatten: axis {} comes after axis {}", first, last));
  Shape out;
  for (int i = 0; i < x.shape.rank(); ++i) {
    if (i <= a || i > b)
      out.push_back(x.shape[i]);
    else
      out.back() *= x.shape[i];
  }
  return {{x.dtype, out}};
}

std::optional<View> Flatten::alias(const View& in) const { return reshaped(in, infer({in.spec()})[0].shape); }

void Flatten::run(Backend& on, Views in, Views out, const View&) const { copy_in_order(on, in[0], out[0]); }

Tensors Flatten::vjp(const Saved& s, const Tensors& dy) const { return {reshape(dy[0], s.in_spec(0).shape)}; }

// ---- permute ----

Specs Permute::infer(const Specs& in) const {
  const Spec& x = one_input(in, "permute");
  if (normalize_axes(axes, x.shape.rank(), "permute").rank() != axes.rank() || axes.rank() != x.shape.rank())
    throw ShapeError(
        fmt::format("permute: axes {} for a tensor {}; each axis once", to_string(axes), to_string(x.shape)));
  Shape out;
  for (int64_t axis : axes) out.push_back(x.shape[normalize_axis(axis, x.shape.rank(), "permute")]);
  return {{x.dtype, out}};
}

std::optional<View> Permute::alias(const View& in) const {
  View out{in.data, in.dtype, {}, {}};
  for (int64_t axis : axes) {
    const int from = normalize_axis(axis, in.rank(), "permute");
    out.shape.push_back(in.shape[from]);
    out.strides.push_back(in.strides[from]);
  }
  return out;
}

Tensors Permute::vjp(const Saved& s, const Tensors& dy) const {
  const int rank = s.in_spec(0).shape.rank();
  Axes inverse = Axes::filled(rank, 0);
  for (int i = 0; i < rank; ++i) inverse[normalize_axis(axes[i], rank, "permute")] = i;
  return {permute(dy[0], inverse)};
}

// ---- unsqueeze, squeeze ----

Specs Unsqueeze::infer(const Specs& in) const {
  Spec out = one_input(in, "unsqueeze");
  out.shape.insert(normalize_axis(axis, out.shape.rank() + 1, "unsqueeze"), 1);
  return {out};
}

std::optional<View> Unsqueeze::alias(const View& in) const {
  View out = in;
  const int at = normalize_axis(axis, in.rank() + 1, "unsqueeze");
  out.shape.insert(at, 1);
  out.strides.insert(at, at < in.rank() ? in.strides[at] * in.shape[at] : 1);
  return out;
}

Tensors Unsqueeze::vjp(const Saved& s, const Tensors& dy) const {
  return {squeeze(dy[0], normalize_axis(axis, s.out_spec(0).shape.rank(), "unsqueeze"))};
}

Specs Squeeze::infer(const Specs& in) const {
  Spec out = one_input(in, "squeeze");
  const int at = normalize_axis(axis, out.shape.rank(), "squeeze");
  if (out.shape[at] != 1)
    throw ShapeError(fmt::format("squeeze: axis {} of {} has size {}; required is 1", axis,
                                 to_string(out.shape), out.shape[at]));
  out.shape.erase(at);
  return {out};
}

std::optional<View> Squeeze::alias(const View& in) const {
  return without_axis(in, normalize_axis(axis, in.rank(), "squeeze"));
}

Tensors Squeeze::vjp(const Saved& s, const Tensors& dy) const {
  return {unsqueeze(dy[0], normalize_axis(axis, s.in_spec(0).shape.rank(), "squeeze"))};
}

// ---- expand ----

Specs Expand::infer(const Specs& in) const {
  const Spec& x = one_input(in, "expand");
  Shape out = shape;
  const int shift = out.rank() - x.shape.rank();
  bool fits = shift >= 0;
  for (int i = 0; fits && i < out.rank(); ++i) {
    const int64_t size = i >= shift ? x.shape[i - shift] : 1;
    if (out[i] == -1 && i >= shift) out[i] = size;
    fits = out[i] >= 0 && (size == out[i] || size == 1);
  }
  if (!fits)
    throw ShapeError(
        fmt::format("expand: {} does not broadcast to {}", to_string(x.shape), to_string(shape)));
  numel(out);
  return {{x.dtype, out}};
}

std::optional<View> Expand::alias(const View& in) const { return expanded(in, infer({in.spec()})[0].shape); }

Tensors Expand::vjp(const Saved&, const Tensors& dy) const { return {dy[0]}; }

// ---- slice, flip ----

namespace {
struct Range {
  int axis;
  int64_t start, count;
};
Range range_of(const Slice& s, const Shape& shape) {
  if (s.step < 1)
    throw ShapeError(fmt::format("slice: step {}; required is at least 1 (flip reverses)", s.step));
  const int axis = normalize_axis(s.axis, shape.rank(), "slice");
  const int64_t size = shape[axis];
  const auto bound = [size](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size); };
  const int64_t start = bound(s.start), stop = bound(s.stop);
  return {axis, start, start < stop ? (stop - start - 1) / s.step + 1 : 0};
}
}  // namespace

Specs Slice::infer(const Specs& in) const {
  Spec out = one_input(in, "slice");
  const Range range = range_of(*this, out.shape);
  out.shape[range.axis] = range.count;
  return {out};
}

std::optional<View> Slice::alias(const View& in) const {
  const Range range = range_of(*this, in.shape);
  View out = range.count ? in.at(range.start * in.strides[range.axis]) : in;
  out.shape[range.axis] = range.count;
  if (range.count > 1) out.strides[range.axis] *= step;  // then step is below the size, and the product fits
  return out;
}

Tensors Slice::vjp(const Saved& s, const Tensors& dy) const {
  const Shape& shape = s.in_spec(0).shape;
  const Range range = range_of(*this, shape);
  if (range.count == 0) return {zeros(shape, dy[0].dtype())};
  const int64_t end = range.start + (range.count - 1) * step + 1;
  return {pad(dy[0], range.axis, range.start, shape[range.axis] - end, 0.0, step - 1)};
}

Specs Split::infer(const Specs& in) const {
  const Spec whole = one_input(in, "split");
  const int at = normalize_axis(axis, whole.shape.rank(), "split");
  if (size < 1) throw ShapeError(fmt::format("split: pieces of {}; required is at least 1", size));
  const int64_t length = whole.shape[at], count = pieces(length);
  if (count > kMostPieces)
    throw ShapeError(
        fmt::format("split: {} pieces of {}, each {} long; required are at most {}, make them longer", count,
                    to_string(whole.shape), size, kMostPieces));
  Specs out;
  for (int64_t i = 0; i < count; ++i) out.emplace_back(whole).shape[at] = std::min(size, length - i * size);
  return out;
}

Aliases Split::alias(const View& in) const {
  const int at = normalize_axis(axis, in.rank(), "split");
  const int64_t length = in.shape[at];
  Aliases out;
  for (int64_t i = 0; i < pieces(length); ++i)
    out.emplace_back(in.at(i * size * in.strides[at])).shape[at] = std::min(size, length - i * size);
  return out;
}

Tensors Split::vjp(const Saved&, const Tensors& dy) const { return {cat(dy, axis)}; }

Specs Flip::infer(const Specs& in) const {
  normalize_axis(axis, one_input(in, "flip").shape.rank(), "flip");
  return in;
}

std::optional<View> Flip::alias(const View& in) const {
  const int at = normalize_axis(axis, in.rank(), "flip");
  View out = in.shape[at] ? in.at((in.shape[at] - 1) * in.strides[at]) : in;
  out.strides[at] = -out.strides[at];
  return out;
}

Tensors Flip::vjp(const Saved&, const Tensors& dy) const { return {flip(dy[0], axis)}; }

Specs StopGradient::infer(const Specs& in) const { return {one_input(in, "stop_gradient")}; }

// ---- functions ----

Tensor reshape(const Tensor& x, const Shape& shape) { return apply_one(Reshape{shape}, {x}); }
Tensor flatten(const Tensor& x, int64_t first, int64_t last) { return apply_one(Flatten{first, last}, {x}); }
Tensor permute(const Tensor& x, const Axes& axes) { return apply_one(Permute{axes}, {x}); }
Tensor unsqueeze(const Tensor& x, int64_t axis) { return apply_one(Unsqueeze{axis}, {x}); }
Tensor squeeze(const Tensor& x, int64_t axis) { return apply_one(Squeeze{axis}, {x}); }
Tensor expand(const Tensor& x, const Shape& shape) { return apply_one(Expand{shape}, {x}); }
Tensor flip(const Tensor& x, int64_t axis) { return apply_one(Flip{axis}, {x}); }
Tensor slice(const Tensor& x, int64_t axis, int64_t start, int64_t stop, int64_t step) {
  return apply_one(Slice{axis, start, stop, step}, {x});
}

Tensor transpose(const Tensor& x, int64_t axis_a, int64_t axis_b) {
  const int a = normalize_axis(axis_a, x.rank(), "transpose"),
            b = normalize_axis(axis_b, x.rank(), "transpose");
  Axes axes;
  for (int i = 0; i < x.rank(); ++i) axes.push_back(i == a ? b : i == b ? a : i);
  return permute(x, axes);
}

Tensor select(const Tensor& x, int64_t axis, int64_t i) {
  const int at = normalize_axis(axis, x.rank(), "select");
  const int64_t size = x.shape()[at];
  if (i < -size || i >= size)
    throw ShapeError(fmt::format("select: index {} along axis {} of {}; required is {} to {}", i, axis,
                                 to_string(x.shape()), -size, size - 1));
  // -1 has no successor that counts from the end: the rest of the axis is meant.
  return squeeze(slice(x, at, i, i == -1 ? std::numeric_limits<int64_t>::max() : i + 1), at);
}

Tensors split(const Tensor& x, int64_t size, int64_t axis) { return apply_op(Split{size, axis}, {x}); }

Tensor alias_of(const Tensor& x) {
  Axes same;
  for (int i = 0; i < x.rank(); ++i) same.push_back(i);
  return permute(x, same);
}

}  // namespace varve
