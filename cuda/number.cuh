// Number<T>: what a pointwise function computes with on a GPU thread. Only f32 needs a type of its own: a
// plain float would meet the functions' double constants in double.
#pragma once

#include <concepts>

#include <varve/core/pointwise_kernels.h>

namespace varve::cuda {

// A product rounded by itself, so that a function's bits are the same in every kernel: the compiler would
// join some products and sums into one operation, and not the same ones everywhere.
template <std::floating_point T>
VARVE_HD T product_of(T a, T b) {
#if defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, float>)
    return __fmul_rn(a, b);
  else
    return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

struct Single {
  float value;

  Single() = default;
  VARVE_HD Single(float v) : value(v) {}
  VARVE_HD Single(double v) : value(static_cast<float>(v)) {}
  VARVE_HD Single(int v) : value(static_cast<float>(v)) {}

  friend VARVE_HD Single operator-(Single a) { return -a.value; }
  friend VARVE_HD Single operator+(Single a, Single b) { return a.value + b.value; }
  friend VARVE_HD Single operator-(Single a, Single b) { return a.value - b.value; }
  friend VARVE_HD Single operator*(Single a, Single b) { return product_of(a.value, b.value); }
  friend VARVE_HD Single operator/(Single a, Single b) { return a.value / b.value; }
  friend VARVE_HD bool operator==(Single a, Single b) { return a.value == b.value; }
  friend VARVE_HD bool operator<(Single a, Single b) { return a.value < b.value; }
  friend VARVE_HD bool operator<=(Single a, Single b) { return a.value <= b.value; }
  friend VARVE_HD bool operator>(Single a, Single b) { return a.value > b.value; }
  friend VARVE_HD bool operator>=(Single a, Single b) { return a.value >= b.value; }

  friend VARVE_HD Single abs(Single x) { return ::fabsf(x.value); }
  friend VARVE_HD Single cos(Single x) { return ::cosf(x.value); }
  friend VARVE_HD Single erf(Single x) { return ::erff(x.value); }
  friend VARVE_HD Single exp(Single x) { return ::expf(x.value); }
  friend VARVE_HD Single log(Single x) { return ::logf(x.value); }
  friend VARVE_HD Single log1p(Single x) { return ::log1pf(x.value); }
  friend VARVE_HD Single pow(Single a, Single b) { return ::powf(a.value, b.value); }
  friend VARVE_HD Single rsqrt(Single x) { return 1.0f / ::sqrtf(x.value); }
  friend VARVE_HD Single sin(Single x) { return ::sinf(x.value); }
  friend VARVE_HD Single sqrt(Single x) { return ::sqrtf(x.value); }
  friend VARVE_HD Single tanh(Single x) { return ::tanhf(x.value); }
  friend VARVE_HD Single select(bool c, Single a, Single b) { return c ? a : b; }
  friend VARVE_HD Single indicator(bool c, Single) { return c ? 1.0f : 0.0f; }
  friend VARVE_HD Single maximum(Single a, Single b) { return pointwise::maximum(a.value, b.value); }
  friend VARVE_HD Single minimum(Single a, Single b) { return pointwise::minimum(a.value, b.value); }
};

template <class T>
struct NumberOf {
  using type = T;
};
template <>
struct NumberOf<float> {
  using type = Single;
};
template <class T>
using Number = typename NumberOf<T>::type;

// A result as the number that is stored; a comparison's as 0 or 1.
template <class T>
VARVE_HD T plain(Single y) {
  return y.value;
}
template <class T, class Y>
VARVE_HD T plain(Y y) {
  return static_cast<T>(y);
}

}  // namespace varve::cuda
