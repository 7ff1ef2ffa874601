#include <varve/core/ops/make.h>

#include <fmt/format.h>

#include <cmath>

#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>

namespace varve {

Specs Full::infer(const Specs& in) const {
  require_inputs(in, 0, "full");
  numel(shape);
  return {{dtype, shape}};
}

void Full::run(Backend& on, Views, Views out, const View&) const {
  alignas(8) std::byte element[8];
  write_element(dtype, value, element);
  on.fill(out[0], element);
}

Tensor full(const Shape& shape, double value, DType dtype) {
  require_fits(value, dtype, "full");
  return apply_one(Full{shape, value, dtype}, {});
}

namespace {
// start + i step for i in 0 .. count - 1, exact in integers up to 2^53 and in f64.
Tensor progression(double start, double step, int64_t count, DType dtype) {
  const Tensor i = cumsum(ones({count}, DType::i64), 0) - 1.0;
  if (dtype == DType::i64 && step == std::trunc(step) && start == std::trunc(start)) {
    const Tensor scaled = step == 1 ? i : i * step;
    return start == 0 ? scaled : scaled + start;
  }
  return cast(cast(i, DType::f64) * step + start, dtype);
}
}  // namespace

Tensor arange(double start, double stop, double step, DType dtype) {
  const double count = std::ceil((stop - start) / step);
  if (!(step != 0) || !(count < 0x1p62))
    throw ShapeError(fmt::format("arange: from {} to {} by {} has no end", start, stop, step));
  if (!is_floating(dtype) && (start != std::trunc(start) || step != std::trunc(step)))
    throw DTypeError(fmt::format("arange: from {} by {} in {}; required is a floating type, pass DType::f32",
                                 start, step, name_of(dtype)));
  const auto whole = static_cast<int64_t>(std::max(count, 0.0));
  if (whole > 0)
    for (const double end : {start, start + step * static_cast<double>(whole - 1)})
      require_fits(end, dtype, "arange");
  return progression(start, step, whole, dtype);
}

Tensor linspace(double start, double stop, int64_t count, DType dtype) {
  if (count < 0) throw ShapeError(fmt::format("linspace: {} values; required is at least 0", count));
  const Tensor i = cast(arange(count), DType::f64);
  const auto steps = static_cast<double>(std::max<int64_t>(count - 1, 1));
  // Weighed from both ends, so that both are met exactly; integers are divided last, so that none is missed.
  if (!is_floating(dtype)) return cast(((steps - i) * start + i * stop) / steps, dtype);
  const Tensor part = i / steps;
  return cast((1.0 - part) * start + part * stop, dtype);
}

Tensor eye(int64_t rows, int64_t columns, DType dtype) {
  const Tensor i = unsqueeze(arange(rows), 1), j = arange(columns < 0 ? rows : columns);
  return cast(equal(i, j), dtype);
}

namespace detail {

void check_count(size_t count, const Shape& shape) {
  if (static_cast<uint64_t>(numel(shape)) != count)
    throw ShapeError(
        fmt::format("tensor: {} values for shape {}, which needs {}", count, to_string(shape), numel(shape)));
}

Tensor from_bytes(const void* data, size_t count, DType dtype, const Shape& shape) {
  check_count(count, shape);
  Backend& backend = backend_for(current_device());
  const ValuePtr value = make_value(backend, {dtype, shape});
  backend.upload(data, value->storage->data(), count * size_of(dtype));
  return Tensor(value);
}

Tensor borrow_bytes(void* data, size_t count, DType dtype, const Shape& shape,
                    std::shared_ptr<const void> owner) {
  check_count(count, shape);
  auto storage = std::make_shared<Storage>(cpu_backend(), data, count * size_of(dtype), std::move(owner));
  return Tensor(
      std::make_shared<const Value>(Value{std::move(storage), 0, dtype, shape, contiguous_strides(shape)}));
}

}  // namespace detail
}  // namespace varve
