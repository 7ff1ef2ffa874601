// Pointwise functions of tensors: inputs broadcast against each other; dtypes must agree (cast says how
// else).
#pragma once

#include <varve/core/op.h>
#include <varve/core/pointwise.h>

namespace varve {

namespace detail {
// Applies function number `function` of pointwise::Functions.
VARVE_API Tensor apply_function(size_t function, const double* constants, std::initializer_list<Tensor> in);
}  // namespace detail

// Any function of core/pointwise.h, by its type: elementwise(pointwise::Tanh{}, {x}).
template <class F>
Tensor elementwise(const F& f, std::initializer_list<Tensor> in) {
  const double* constants = nullptr;
  if constexpr (!std::is_empty_v<F>) constants = reinterpret_cast<const double*>(&f);
  return detail::apply_function(index_in<F>(pointwise::Functions{}), constants, in);
}

// ---- one input ----
//
// Any dtype for neg, abs, relu; else floating. In f32 exp, log, log1p, sin, cos, sigmoid are within 3
// units in the last place of the exact value, tanh and erf within 7, but near the smallest normal numbers;
// below them the CPU gives 0.

// -x, |x|, e^x, natural log x, log(1 + x), x^(1/2), x^(-1/2), sin x and cos x of radians, tanh x, and
// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
inline Tensor neg(const Tensor& x) { return elementwise(pointwise::Neg{}, {x}); }
inline Tensor abs(const Tensor& x) { return elementwise(pointwise::Abs{}, {x}); }
inline Tensor exp(const Tensor& x) { return elementwise(pointwise::Exp{}, {x}); }
inline Tensor log(const Tensor& x) { return elementwise(pointwise::Log{}, {x}); }
inline Tensor log1p(const Tensor& x) { return elementwise(pointwise::Log1p{}, {x}); }
inline Tensor sqrt(const Tensor& x) { return elementwise(pointwise::Sqrt{}, {x}); }
inline Tensor rsqrt(const Tensor& x) { return elementwise(pointwise::Rsqrt{}, {x}); }
inline Tensor sin(const Tensor& x) { return elementwise(pointwise::Sin{}, {x}); }
inline Tensor cos(const Tensor& x) { return elementwise(pointwise::Cos{}, {x}); }
inline Tensor tanh(const Tensor& x) { return elementwise(pointwise::Tanh{}, {x}); }
inline Tensor erf(const Tensor& x) { return elementwise(pointwise::Erf{}, {x}); }
// 1 / (1 + exp(-x))
inline Tensor sigmoid(const Tensor& x) { return elementwise(pointwise::Sigmoid{}, {x}); }
// max(x, 0)
inline Tensor relu(const Tensor& x) { return elementwise(pointwise::Relu{}, {x}); }
// x Phi(x), the exact form (Hendrycks and Gimpel, arXiv:1606.08415)
inline Tensor gelu(const Tensor& x) { return elementwise(pointwise::Gelu{}, {x}); }
// x sigmoid(x)
inline Tensor silu(const Tensor& x) { return elementwise(pointwise::Silu{}, {x}); }
// log(1 + exp(x))
inline Tensor softplus(const Tensor& x) { return elementwise(pointwise::Softplus{}, {x}); }
// x held within [low, high]; the slope is 1 within, ends included
inline Tensor clamp(const Tensor& x, double low, double high) {
  return elementwise(pointwise::Clamp{low, high}, {x});
}

// ---- two inputs ----

// a + b, a - b, a b: any dtype.
inline Tensor add(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Add{}, {a, b}); }
inline Tensor sub(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Sub{}, {a, b}); }
inline Tensor mul(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Mul{}, {a, b}); }
// a / b, a^b: floating types only, cast integers first.
inline Tensor div(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Div{}, {a, b}); }
inline Tensor pow(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Pow{}, {a, b}); }
// The larger (smaller) of a and b: NaN where either is; equal inputs share the gradient.
inline Tensor maximum(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Maximum{}, {a, b}); }
inline Tensor minimum(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Minimum{}, {a, b}); }
// Comparisons give bool.
inline Tensor equal(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Equal{}, {a, b}); }
inline Tensor not_equal(const Tensor& a, const Tensor& b) {
  return elementwise(pointwise::NotEqual{}, {a, b});
}
inline Tensor less(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Less{}, {a, b}); }
inline Tensor less_equal(const Tensor& a, const Tensor& b) {
  return elementwise(pointwise::LessEqual{}, {a, b});
}
inline Tensor greater(const Tensor& a, const Tensor& b) { return elementwise(pointwise::Greater{}, {a, b}); }
inline Tensor greater_equal(const Tensor& a, const Tensor& b) {
  return elementwise(pointwise::GreaterEqual{}, {a, b});
}

// ---- three inputs ----

// a where `condition` (bool), else b.
inline Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return elementwise(pointwise::Where{}, {condition, a, b});
}

// ---- with a number on one side: it takes the tensor's dtype, and must fit it ----

// A 0-d tensor of like's dtype and device.
VARVE_API Tensor scalar_like(double value, const Tensor& like);

inline Tensor pow(const Tensor& a, double b) { return pow(a, scalar_like(b, a)); }
inline Tensor pow(double a, const Tensor& b) { return pow(scalar_like(a, b), b); }
inline Tensor where(const Tensor& condition, const Tensor& a, double b) {
  return where(condition, a, scalar_like(b, a));
}
inline Tensor where(const Tensor& condition, double a, const Tensor& b) {
  return where(condition, scalar_like(a, b), b);
}
inline Tensor maximum(const Tensor& a, double b) { return maximum(a, scalar_like(b, a)); }
inline Tensor minimum(const Tensor& a, double b) { return minimum(a, scalar_like(b, a)); }

inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, scalar_like(b, a)); }
inline Tensor operator-(const Tensor& a, double b) { return sub(a, scalar_like(b, a)); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, scalar_like(b, a)); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, scalar_like(b, a)); }
inline Tensor operator+(double a, const Tensor& b) { return add(scalar_like(a, b), b); }
inline Tensor operator-(double a, const Tensor& b) { return sub(scalar_like(a, b), b); }
inline Tensor operator*(double a, const Tensor& b) { return mul(scalar_like(a, b), b); }
inline Tensor operator/(double a, const Tensor& b) { return div(scalar_like(a, b), b); }

// As in NumPy, comparing tensors gives a tensor.
inline Tensor operator==(const Tensor& a, const Tensor& b) { return equal(a, b); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return not_equal(a, b); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return less(a, b); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return less_equal(a, b); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return greater(a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return greater_equal(a, b); }
inline Tensor operator==(const Tensor& a, double b) { return equal(a, scalar_like(b, a)); }
inline Tensor operator!=(const Tensor& a, double b) { return not_equal(a, scalar_like(b, a)); }
inline Tensor operator<(const Tensor& a, double b) { return less(a, scalar_like(b, a)); }
inline Tensor operator<=(const Tensor& a, double b) { return less_equal(a, scalar_like(b, a)); }
inline Tensor operator>(const Tensor& a, double b) { return greater(a, scalar_like(b, a)); }
inline Tensor operator>=(const Tensor& a, double b) { return greater_equal(a, scalar_like(b, a)); }
inline Tensor operator<(double a, const Tensor& b) { return less(scalar_like(a, b), b); }
inline Tensor operator<=(double a, const Tensor& b) { return less_equal(scalar_like(a, b), b); }
inline Tensor operator>(double a, const Tensor& b) { return greater(scalar_like(a, b), b); }
inline Tensor operator>=(double a, const Tensor& b) { return greater_equal(scalar_like(a, b), b); }

// A tensor as a number, for the slopes of core/pointwise.h: where(); and the mask as 0 and 1 in like's dtype.
inline Tensor select(const Tensor& mask, const Tensor& a, const Tensor& b) { return where(mask, a, b); }
inline Tensor select(const Tensor& mask, const Tensor& a, double b) { return where(mask, a, b); }
VARVE_API Tensor indicator(const Tensor& mask, const Tensor& like);

}  // namespace varve
