// Tensors from nothing and from numbers, on the current device (OnDevice, core/backend.h), and from the
// caller's memory.
#pragma once

#include <varve/core/op.h>
#include <varve/core/ops/copy.h>

namespace varve {

struct Full {
  static constexpr OpName name{"full", 1};
  Shape shape;
  double value = 0;
  DType dtype = DType::f32;
  static void fields(auto& self, auto&& field) {
    field("shape", self.shape);
    field("value", self.value);
    field("dtype", self.dtype);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
};

// Every element `value`; DTypeError where dtype cannot hold it.
VARVE_API Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
// 0 everywhere; 1 everywhere; and so with the shape, the dtype and the device of x.
inline Tensor zeros(const Shape& shape, DType dtype = DType::f32) { return full(shape, 0, dtype); }
inline Tensor ones(const Shape& shape, DType dtype = DType::f32) { return full(shape, 1, dtype); }
inline Tensor full_like(const Tensor& x, double value) {
  const OnDevice on(x.device());
  return full(x.shape(), value, x.dtype());
}
inline Tensor zeros_like(const Tensor& x) { return full_like(x, 0); }
inline Tensor ones_like(const Tensor& x) { return full_like(x, 1); }
// start, start + step, ... before stop: ceil((stop - start) / step) elements. Integers need whole steps.
VARVE_API Tensor arange(double start, double stop, double step = 1, DType dtype = DType::i64);
// 0, 1, ... count - 1 as i64.
inline Tensor arange(int64_t count) { return arange(0, static_cast<double>(count)); }
// `count` values evenly spaced from start to stop, both included.
VARVE_API Tensor linspace(double start, double stop, int64_t count, DType dtype = DType::f32);
// rows x columns (default: square), 1 on the diagonal.
VARVE_API Tensor eye(int64_t rows, int64_t columns = -1, DType dtype = DType::f32);

namespace detail {
VARVE_API Tensor from_bytes(const void* data, size_t count, DType dtype, const Shape& shape);
VARVE_API Tensor borrow_bytes(void* data, size_t count, DType dtype, const Shape& shape,
                              std::shared_ptr<const void> owner);
}  // namespace detail

// A copy of `values`, row-major; their number must be that of the shape.
template <Element T>
Tensor from_span(std::span<const T> values, const Shape& shape) {
  return detail::from_bytes(values.data(), values.size(), dtype_of<T>, shape);
}
template <Element T>
Tensor from_span(std::span<T> values, const Shape& shape) {
  return from_span(std::span<const T>(values), shape);
}
// The same of numbers written out; one axis, where no shape is given.
template <Element T>
Tensor tensor(std::initializer_list<T> values) {
  return from_span(std::span<const T>(values.begin(), values.size()), {static_cast<int64_t>(values.size())});
}
template <Element T>
Tensor tensor(std::initializer_list<T> values, const Shape& shape) {
  return from_span(std::span<const T>(values.begin(), values.size()), shape);
}
// The caller's memory itself: it must outlive every tensor that shares it, or be kept by `owner`. Borrowed
// twice it counts as two memories, for compile too: where one is written, take views of one tensor instead.
template <Element T>
Tensor borrow(std::span<T> values, const Shape& shape, std::shared_ptr<const void> owner = nullptr) {
  return detail::borrow_bytes(values.data(), values.size(), dtype_of<T>, shape, std::move(owner));
}

}  // namespace varve
