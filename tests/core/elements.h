// Elements of views, one index at a time: how the tests read and write memory without the kernels they check.
#pragma once

#include <limits>
#include <utility>

#include <varve/core/view.h>

namespace varve::test {

// Calls f(index) for every index of the shape, in row-major order.
template <class F>
void each_index(const Shape& shape, F&& f) {
  if (numel(shape) == 0) return;
  Dims at = Dims::filled(shape.rank(), 0);
  for (;;) {
    f(std::as_const(at));
    int axis = shape.rank();
    while (axis > 0 && ++at[axis - 1] == shape[axis - 1]) at[--axis] = 0;
    if (axis == 0) return;
  }
}

inline std::byte* element(const View& v, const Dims& at) {
  int64_t offset = 0;
  for (int i = 0; i < v.rank(); ++i) offset += at[i] * v.strides[i];
  return static_cast<std::byte*>(v.data) + offset * static_cast<int64_t>(size_of(v.dtype));
}

// To float: nearest. Float to integer: truncated, saturated, NaN to 0. Between integers: wrapped.
template <class To, class From>
To as(From x) {
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>)
    return as<To>(static_cast<float>(x));
  else if constexpr (std::is_same_v<To, bool>)
    return x != From(0);
  else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    using Limits = std::numeric_limits<To>;
    const auto wide = static_cast<long double>(x);
    if (x != x) return 0;
    if (wide <= static_cast<long double>(Limits::min())) return Limits::min();
    if (wide >= static_cast<long double>(Limits::max())) return Limits::max();
    return static_cast<To>(wide);
  } else
    return static_cast<To>(x);
}

template <class C>
C read(const View& v, const Dims& at) {
  return dispatch(v.dtype, [&]<class T>() { return as<C>(*reinterpret_cast<const T*>(element(v, at))); });
}

template <class C>
void write(const View& v, const Dims& at, C value) {
  dispatch(v.dtype, [&]<class T>() { *reinterpret_cast<T*>(element(v, at)) = as<T>(value); });
}

// Calls f with a value of the type that elements of `dtype` are exact in: double, int64_t or uint64_t.
template <class F>
void with_wide(DType dtype, F&& f) {
  if (is_floating(dtype))
    f(double());
  else if (dtype == DType::u64)
    f(uint64_t());
  else
    f(int64_t());
}

}  // namespace varve::test
