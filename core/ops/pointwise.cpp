#include <varve/core/ops/pointwise.h>

#include <fmt/format.h>

#include <cmath>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/elementwise.h>
#include <varve/core/ops/make.h>

namespace varve {
namespace detail {

Specs infer_pointwise(const pointwise::About& about, int outputs, const Specs& in) {
  const std::string_view op = about.name;
  require_inputs(in, static_cast<size_t>(about.inputs), op);
  if (about.condition && in[0].dtype != DType::boolean)
    throw DTypeError(fmt::format("{}: the condition is {}; required is bool, as a comparison gives", op,
                                 name_of(in[0].dtype)));
  Shape shape = in[0].shape;
  const size_t first = about.condition ? 1 : 0;
  for (size_t i = 1; i < in.size(); ++i) {
    if (i > first && in[i].dtype != in[first].dtype)
      throw DTypeError(fmt::format("{}: dtypes {} and {} differ; cast one of them", op,
                                   name_of(in[first].dtype), name_of(in[i].dtype)));
    shape = broadcast(shape, in[i].shape, op);
  }
  if (about.domain == pointwise::Domain::floating && !is_floating(in[first].dtype))
    throw DTypeError(
        fmt::format("{}: dtype {}; required is a floating type, cast first", op, name_of(in[first].dtype)));
  Specs out;
  for (int i = 0; i < outputs; ++i)
    out.push_back({about.result == pointwise::Result::boolean ? DType::boolean : in[first].dtype, shape});
  return out;
}

Specs infer_slope(std::string_view op, const pointwise::About& about, const Specs& in) {
  require_inputs(in, static_cast<size_t>(about.inputs), op);
  if (!is_floating(in[0].dtype))
    throw DTypeError(fmt::format("{}: dtype {}; required is a floating type", op, name_of(in[0].dtype)));
  Shape shape = in[0].shape;
  for (const Spec& spec : in) shape = broadcast(shape, spec.shape, op);
  return {{in[0].dtype, shape}};
}

Specs infer_update(const pointwise::About& about, const Specs& in) {
  require_inputs(in, static_cast<size_t>(about.inputs), about.name);
  for (size_t i = 0; i < in.size(); ++i) {
    const bool scalar = i >= static_cast<size_t>(about.inputs - about.numbers);
    if (scalar ? !in[i].shape.empty() : in[i].shape != in[0].shape)
      throw ShapeError(fmt::format("{}: input {} has shape {}; required is {}", about.name, i,
                                   to_string(in[i].shape), scalar ? "a scalar" : to_string(in[0].shape)));
    if (!is_floating(in[i].dtype))
      throw DTypeError(fmt::format("{}: input {} is {}; required is a floating type", about.name, i,
                                   name_of(in[i].dtype)));
  }
  return {};
}

void run_pointwise(Backend& on, pointwise::Id fn, std::span<const double> constants, Views in, Views out) {
  const Few<View, 8> expanded_in(in, [&](const View& v) { return expanded(v, out[0].shape); });
  on.pointwise(fn, constants, expanded_in, out);
}

Tensor apply_function(size_t function, const double* constants, std::initializer_list<Tensor> in) {
  using Apply = Tensor (*)(const double*, std::initializer_list<Tensor>);
  static constexpr auto kTable = []<class... Fs>(List<Fs...>) {
    return std::array<Apply, sizeof...(Fs)>{[](const double* c, std::initializer_list<Tensor> tensors) {
      return apply_one(Elementwise<Fs>{pointwise::with_constants<Fs>(c)}, tensors);
    }...};
  }(pointwise::Functions{});
  return kTable[function](constants, in);
}

}  // namespace detail

Tensor scalar_like(double value, const Tensor& like) {
  require_fits(value, like.dtype(), "scalar");
  const OnDevice on(like.device());
  return full({}, value, like.dtype());
}

Tensor indicator(const Tensor& mask, const Tensor& like) { return cast(mask, like.dtype()); }

}  // namespace varve
