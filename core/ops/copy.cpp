#include <varve/core/ops/copy.h>

#include <fmt/format.h>

#include <cstring>

#include <varve/core/ops/make.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve {
namespace {

// The part of `out` that holds the elements of a padded tensor.
View padded_part(const Pad& p, const View& out, int64_t size) {
  const int at = normalize_axis(p.axis, out.rank(), "pad");
  View part = out.at(p.low * out.strides[at]);
  part.shape[at] = size;
  if (size > 1) part.strides[at] *= p.interior + 1;
  return part;
}

}  // namespace

Specs Clone::infer(const Specs& in) const {
  require_inputs(in, 1, "clone");
  return in;
}
void Clone::run(Backend& on, Views in, Views out, const View&) const { on.copy(in[0], out[0]); }
Tensors Clone::vjp(const Saved&, const Tensors& dy) const { return {dy[0]}; }

Specs Cast::infer(const Specs& in) const {
  require_inputs(in, 1, "cast");
  return {{dtype, in[0].shape}};
}
void Cast::run(Backend& on, Views in, Views out, const View&) const { on.copy(in[0], out[0]); }
Tensors Cast::vjp(const Saved& s, const Tensors& dy) const {
  if (!is_floating(s.in_spec(0).dtype)) return {};
  return {cast(dy[0], s.in_spec(0).dtype)};
}

Specs Assign::infer(const Specs& in) const {
  require_inputs(in, 2, "assign");
  if (broadcast(in[0].shape, in[1].shape, "assign") != in[0].shape)
    throw ShapeError(
        fmt::format("assign: {} does not broadcast to {}", to_string(in[1].shape), to_string(in[0].shape)));
  return {};
}
void Assign::run(Backend& on, Views in, Views, const View&) const {
  on.copy(expanded(in[1], in[0].shape), in[0]);
}

Specs Cat::infer(const Specs& in) const {
  if (in.empty()) throw ShapeError("cat: no tensors given");
  Spec out = in[0];
  const int at = normalize_axis(axis, out.shape.rank(), "cat");
  out.shape[at] = 0;
  for (const Spec& x : in) {
    if (x.dtype != out.dtype)
      throw DTypeError(
          fmt::format("cat: dtypes {} and {} differ; cast one", name_of(out.dtype), name_of(x.dtype)));
    Shape others = x.shape;
    if (others.rank() == out.shape.rank()) others[at] = out.shape[at];
    if (others != out.shape)
      throw ShapeError(fmt::format("cat: shapes {} and {} differ beyond axis {}", to_string(in[0].shape),
                                   to_string(x.shape), axis));
    if (__builtin_add_overflow(out.shape[at], x.shape[at], &out.shape[at]))
      throw ShapeError("cat: the result has too many elements");
  }
  numel(out.shape);
  return {out};
}
void Cat::run(Backend& on, Views in, Views out, const View&) const {
  const int at = normalize_axis(axis, out[0].rank(), "cat");
  View part = out[0];
  for (const View& x : in) {
    part.shape[at] = x.shape[at];
    on.copy(x, part);
    part = part.at(x.shape[at] * part.strides[at]);
  }
}
Tensors Cat::vjp(const Saved& s, const Tensors& dy) const {
  Tensors dx;
  int64_t start = 0;
  for (size_t i = 0; i < s.inputs(); ++i) {
    const int64_t size = s.in_spec(i).shape[normalize_axis(axis, dy[0].rank(), "cat")];
    dx.push_back(s.wants(i) ? slice(dy[0], axis, start, start + size) : Tensor());
    start += size;
  }
  return dx;
}

Specs Pad::infer(const Specs& in) const {
  require_inputs(in, 1, "pad");
  Spec out = in[0];
  int64_t& size = out.shape[normalize_axis(axis, out.shape.rank(), "pad")];
  if (low < 0 || high < 0 || interior < 0)
    throw ShapeError(
        fmt::format("pad: {}, {}, {}; amounts are at least 0 (slice cuts)", low, high, interior));
  const __int128 total = static_cast<__int128>(size) +
                         static_cast<__int128>(std::max<int64_t>(size - 1, 0)) * interior + low + high;
  if (total > std::numeric_limits<int64_t>::max()) throw ShapeError("pad: the result has too many elements");
  size = static_cast<int64_t>(total);
  numel(out.shape);
  return {out};
}
void Pad::run(Backend& on, Views in, Views out, const View&) const {
  alignas(8) std::byte element[8];
  write_element(out[0].dtype, value, element);
  on.fill(out[0], element);
  if (out[0].numel())
    on.copy(in[0], padded_part(*this, out[0], in[0].shape[normalize_axis(axis, in[0].rank(), "pad")]));
}
Tensors Pad::vjp(const Saved& s, const Tensors& dy) const {
  const int64_t size = s.out_spec(0).shape[normalize_axis(axis, dy[0].rank(), "pad")];
  if (numel(s.in_spec(0).shape) == 0) return {zeros(s.in_spec(0).shape, dy[0].dtype())};
  return {slice(dy[0], axis, low, size - high, interior + 1)};
}

Tensor clone(const Tensor& x) { return apply_one(Clone{}, {x}); }
Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : clone(x); }
Tensor cast(const Tensor& x, DType dtype) { return x.dtype() == dtype ? x : apply_one(Cast{dtype}, {x}); }
Tensor cat(const Tensors& pieces, int64_t axis) { return apply_one(OpOf(Cat{axis}), pieces); }

Tensor stack(const Tensors& pieces, int64_t axis) {
  Tensors rows;
  for (const Tensor& t : pieces) rows.push_back(unsqueeze(t, axis));
  return cat(rows, axis < 0 && !rows.empty() ? axis + rows[0].rank() : axis);
}

Tensor pad(const Tensor& x, int64_t axis, int64_t low, int64_t high, double value, int64_t interior) {
  return apply_one(Pad{axis, low, high, interior, value}, {x});
}

void require_fits(double value, DType dtype, const char* operation) {
  const bool fits = dispatch(dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>)
      return value == 0 || value == 1;
    else if constexpr (std::is_integral_v<T>)  // the upper limit is a power of two, which a double holds
      return value == std::trunc(value) && value >= static_cast<double>(std::numeric_limits<T>::min()) &&
             value < static_cast<double>(std::numeric_limits<T>::max() / 2 + 1) * 2.0;
    else if constexpr (sizeof(T) < sizeof value)
      return !std::isfinite(value) || std::isfinite(static_cast<float>(T(value)));
    else
      return true;
  });
  if (!fits)
    throw DTypeError(fmt::format("{}: {} does not fit {}; use a wider or floating dtype", operation, value,
                                 name_of(dtype)));
}

void write_element(DType dtype, double value, void* bytes) {
  dispatch(dtype, [&]<class T>() {
    T element;
    if constexpr (std::is_same_v<T, bool>)
      element = value != 0;
    else if constexpr (std::is_integral_v<T>) {
      // The largest double not above T's maximum may itself be above it, so compare before converting.
      constexpr double kLimit = static_cast<double>(std::numeric_limits<T>::max() / 2 + 1) * 2.0;
      element = !(value == value)                                            ? T(0)
                : value >= kLimit                                            ? std::numeric_limits<T>::max()
                : value < static_cast<double>(std::numeric_limits<T>::min()) ? std::numeric_limits<T>::min()
                                                                             : static_cast<T>(value);
    } else {
      element = static_cast<T>(value);
    }
    std::memcpy(bytes, &element, sizeof element);
  });
}

}  // namespace varve
