// Pointwise functions: value and slopes, written once for any number V, with no Tensor in sight.
//
// V is a register of lanes on the CPU, a scalar on a GPU thread and in the reference backend, and a Tensor
// where a slope is itself differentiated. So a function is branch-free, built from + - * / and comparisons,
// from select, indicator and the named functions found by overload, and from double constants.
//
// To add one: write a struct here, put it in the list at its end, declare its user function
// (ops/pointwise.h), and give its samples (tests/core/samples_pointwise.h). d<i>(inputs..., y) is the
// derivative dy/d(input i); only what slopes_read and slopes_read_output name may be looked at there: the
// rest are placeholders.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include <varve/core/export.h>
#include <varve/core/typelist.h>

namespace varve::pointwise {

enum class Domain : uint8_t { floating, numeric };  // numeric: integers and bool as well
enum class Result : uint8_t { same, boolean };

struct About {
  std::string_view name;
  int inputs = 1;
  int numbers = 0;                  // of the inputs, the last: one number for all elements
  unsigned slopes_read = 0;         // bit i: some slope reads input i
  bool slopes_read_output = false;  // some slope reads y
  Domain domain = Domain::floating;
  Result result = Result::same;
  bool condition = false;  // input 0 is bool and selects
};

// Numbers that are plain scalars.
template <class T>
concept Scalar = std::is_arithmetic_v<T>;
using std::abs, std::cos, std::erf, std::exp, std::log, std::log1p, std::pow, std::sin, std::sqrt, std::tanh;
template <Scalar T>
VARVE_HD T select(bool c, T a, std::type_identity_t<T> b) {
  return c ? a : b;
}
template <Scalar T>
VARVE_HD T indicator(bool c, T) {
  return c ? T(1) : T(0);
}
template <Scalar T>
VARVE_HD T rsqrt(T x) {
  return T(1) / sqrt(x);
}
// NaN if either is NaN.
template <Scalar T>
VARVE_HD T maximum(T a, std::type_identity_t<T> b) {
  return a != a ? a : (a < b || b != b) ? b : a;
}
template <Scalar T>
VARVE_HD T minimum(T a, std::type_identity_t<T> b) {
  return a != a ? a : (b < a || b != b) ? b : a;
}
VARVE_HD inline uint64_t abs(uint64_t x) { return x; }

// The slope of a function that only passes its input on: times One is no work.
struct One {};
template <class V>
VARVE_HD V operator*(V v, One) {
  return v;
}

// The slope of a function that passes its input on where `mask` holds. Elsewhere nothing passes, not even an
// infinite gradient, which times 0 would be NaN.
template <class M>
struct Gate {
  M mask;
};
template <class M>
Gate(M) -> Gate<M>;
template <class V, class M>
VARVE_HD V operator*(V dy, Gate<M> gate) {
  return select(gate.mask, dy, 0.0);
}
// The same where two inputs share: half each where they are equal.
template <class M>
struct SharedGate {
  M mine, equal;
};
template <class M>
SharedGate(M, M) -> SharedGate<M>;
template <class V, class M>
VARVE_HD V operator*(V dy, SharedGate<M> gate) {
  return select(gate.mine, dy, select(gate.equal, 0.5 * dy, 0.0));
}

// 1 / (1 + exp(-x)); a Tensor has its own, whose derivative stays finite where exp(-x) does not.
VARVE_HD auto sigmoid(auto x) { return 1.0 / (1.0 + exp(-x)); }

// ---- one input ----

struct Neg {
  static constexpr About kAbout{.name = "neg", .domain = Domain::numeric};
  static VARVE_HD auto value(auto x) { return -x; }
  static VARVE_HD auto d0(auto, auto) { return -1.0; }
};
struct Abs {
  static constexpr About kAbout{.name = "abs", .slopes_read = 1, .domain = Domain::numeric};
  static VARVE_HD auto value(auto x) { return abs(x); }
  static VARVE_HD auto d0(auto x, auto) { return indicator(x > 0.0, x) - indicator(x < 0.0, x); }
};
struct Exp {
  static constexpr About kAbout{.name = "exp", .slopes_read_output = true};
  static VARVE_HD auto value(auto x) { return exp(x); }
  static VARVE_HD auto d0(auto, auto y) { return y; }
};
struct Log {
  static constexpr About kAbout{.name = "log", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return log(x); }
  static VARVE_HD auto d0(auto x, auto) { return 1.0 / x; }
};
struct Log1p {
  static constexpr About kAbout{.name = "log1p", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return log1p(x); }
  static VARVE_HD auto d0(auto x, auto) { return 1.0 / (1.0 + x); }
};
struct Sqrt {
  static constexpr About kAbout{.name = "sqrt", .slopes_read_output = true};
  static VARVE_HD auto value(auto x) { return sqrt(x); }
  static VARVE_HD auto d0(auto, auto y) { return 0.5 / y; }
};
struct Rsqrt {
  static constexpr About kAbout{.name = "rsqrt", .slopes_read_output = true};
  static VARVE_HD auto value(auto x) { return rsqrt(x); }
  static VARVE_HD auto d0(auto, auto y) { return -0.5 * (y * y * y); }
};
struct Sin {
  static constexpr About kAbout{.name = "sin", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return sin(x); }
  static VARVE_HD auto d0(auto x, auto) { return cos(x); }
};
struct Cos {
  static constexpr About kAbout{.name = "cos", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return cos(x); }
  static VARVE_HD auto d0(auto x, auto) { return -sin(x); }
};
struct Tanh {
  static constexpr About kAbout{.name = "tanh", .slopes_read_output = true};
  static VARVE_HD auto value(auto x) { return tanh(x); }
  static VARVE_HD auto d0(auto, auto y) { return 1.0 - y * y; }
};
struct Sigmoid {  // 1 / (1 + exp(-x))
  static constexpr About kAbout{.name = "sigmoid", .slopes_read_output = true};
  static VARVE_HD auto value(auto x) { return 1.0 / (1.0 + exp(-x)); }
  static VARVE_HD auto d0(auto, auto y) { return y * (1.0 - y); }
};
struct Relu {
  static constexpr About kAbout{.name = "relu", .slopes_read_output = true, .domain = Domain::numeric};
  static VARVE_HD auto value(auto x) { return maximum(x, 0); }
  static VARVE_HD auto d0(auto, auto y) { return Gate{y > 0.0}; }
};
struct Gelu {  // x Phi(x), Phi the normal distribution function: the exact form, not the tanh approximation
  static constexpr About kAbout{.name = "gelu", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return x * (0.5 + 0.5 * erf(x * kSqrtHalf)); }
  static VARVE_HD auto d0(auto x, auto) {
    return 0.5 + 0.5 * erf(x * kSqrtHalf) + x * exp(-0.5 * (x * x)) * kInvSqrtTwoPi;
  }
  static constexpr double kSqrtHalf = 0.70710678118654752440, kInvSqrtTwoPi = 0.39894228040143267794;
};
struct Silu {  // x sigmoid(x)
  static constexpr About kAbout{.name = "silu", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return x / (1.0 + exp(-x)); }
  static VARVE_HD auto d0(auto x, auto) {
    const auto s = sigmoid(x);
    return s * (1.0 + x * (1.0 - s));
  }
};
struct Softplus {  // log(1 + exp(x)), without overflow
  static constexpr About kAbout{.name = "softplus", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return maximum(x, 0) + log1p(exp(-abs(x))); }
  static VARVE_HD auto d0(auto x, auto) { return sigmoid(x); }
};
struct Erf {
  static constexpr About kAbout{.name = "erf", .slopes_read = 1};
  static VARVE_HD auto value(auto x) { return erf(x); }
  static VARVE_HD auto d0(auto x, auto) { return kTwoInvSqrtPi * exp(-(x * x)); }
  static constexpr double kTwoInvSqrtPi = 1.12837916709551257390;
};
struct Clamp {  // x held within [low, high]; NaN stays NaN
  static constexpr About kAbout{.name = "clamp", .slopes_read = 1};
  double low = -HUGE_VAL, high = HUGE_VAL;
  static void fields(auto& self, auto&& field) {
    field("low", self.low);
    field("high", self.high);
  }
  VARVE_HD auto value(auto x) const { return minimum(maximum(x, low), high); }
  VARVE_HD auto d0(auto x, auto) const { return Gate{minimum(maximum(x, low), high) == x}; }
};

// ---- two inputs ----

struct Add {
  static constexpr About kAbout{.name = "add", .inputs = 2, .domain = Domain::numeric};
  static VARVE_HD auto value(auto a, auto b) { return a + b; }
  static VARVE_HD auto d0(auto, auto, auto) { return One{}; }
  static VARVE_HD auto d1(auto, auto, auto) { return One{}; }
};
struct Sub {
  static constexpr About kAbout{.name = "sub", .inputs = 2, .domain = Domain::numeric};
  static VARVE_HD auto value(auto a, auto b) { return a - b; }
  static VARVE_HD auto d0(auto, auto, auto) { return One{}; }
  static VARVE_HD auto d1(auto, auto, auto) { return -1.0; }
};
struct Mul {
  static constexpr About kAbout{.name = "mul", .inputs = 2, .slopes_read = 3, .domain = Domain::numeric};
  static VARVE_HD auto value(auto a, auto b) { return a * b; }
  static VARVE_HD auto d0(auto, auto b, auto) { return b; }
  static VARVE_HD auto d1(auto a, auto, auto) { return a; }
};
struct Div {
  static constexpr About kAbout{.name = "div", .inputs = 2, .slopes_read = 2, .slopes_read_output = true};
  static VARVE_HD auto value(auto a, auto b) { return a / b; }
  static VARVE_HD auto d0(auto, auto b, auto) { return 1.0 / b; }
  static VARVE_HD auto d1(auto, auto b, auto y) { return -y / b; }
};
struct Pow {  // d0 is 0 at a = b = 0, and d1 at a = 0 <= b: there the base counts as 1, the other factor is 0
  static constexpr About kAbout{.name = "pow", .inputs = 2, .slopes_read = 3, .slopes_read_output = true};
  static VARVE_HD auto value(auto a, auto b) { return pow(a, b); }
  static VARVE_HD auto d0(auto a, auto b, auto) {
    return b * pow(a + indicator(a == 0.0, a) * indicator(b == 0.0, b), b - 1.0);
  }
  static VARVE_HD auto d1(auto a, auto b, auto y) {
    return y * log(a + indicator(a == 0.0, a) * indicator(b >= 0.0, b));
  }
};
struct Maximum {  // NaN if either is; equal inputs share the slope
  static constexpr About kAbout{.name = "maximum", .inputs = 2, .slopes_read = 3, .domain = Domain::numeric};
  static VARVE_HD auto value(auto a, auto b) { return maximum(a, b); }
  static VARVE_HD auto d0(auto a, auto b, auto) { return SharedGate{a > b, a == b}; }
  static VARVE_HD auto d1(auto a, auto b, auto) { return SharedGate{b > a, a == b}; }
};
struct Minimum {
  static constexpr About kAbout{.name = "minimum", .inputs = 2, .slopes_read = 3, .domain = Domain::numeric};
  static VARVE_HD auto value(auto a, auto b) { return minimum(a, b); }
  static VARVE_HD auto d0(auto a, auto b, auto) { return SharedGate{a < b, a == b}; }
  static VARVE_HD auto d1(auto a, auto b, auto) { return SharedGate{b < a, a == b}; }
};

// Comparisons: bool out, no slope.
constexpr About comparison(std::string_view name) {
  return {.name = name, .inputs = 2, .domain = Domain::numeric, .result = Result::boolean};
}
struct Equal {
  static constexpr About kAbout = comparison("equal");
  static VARVE_HD auto value(auto a, auto b) { return a == b; }
};
struct NotEqual {
  static constexpr About kAbout = comparison("not_equal");
  static VARVE_HD auto value(auto a, auto b) { return a != b; }
};
struct Less {
  static constexpr About kAbout = comparison("less");
  static VARVE_HD auto value(auto a, auto b) { return a < b; }
};
struct LessEqual {
  static constexpr About kAbout = comparison("less_equal");
  static VARVE_HD auto value(auto a, auto b) { return a <= b; }
};
struct Greater {
  static constexpr About kAbout = comparison("greater");
  static VARVE_HD auto value(auto a, auto b) { return a > b; }
};
struct GreaterEqual {
  static constexpr About kAbout = comparison("greater_equal");
  static VARVE_HD auto value(auto a, auto b) { return a >= b; }
};

// ---- three inputs ----

struct Where {  // a where c, else b; c is bool
  static constexpr About kAbout{
      .name = "where", .inputs = 3, .slopes_read = 1, .domain = Domain::numeric, .condition = true};
  static VARVE_HD auto value(auto c, auto a, auto b) { return select(c != 0.0, a, b); }
  static VARVE_HD auto d1(auto c, auto, auto, auto) { return Gate{c != 0.0}; }
  static VARVE_HD auto d2(auto c, auto, auto, auto) { return Gate{c == 0.0}; }
};

// Every pointwise function. The order is free: files store names, and tables are built from it.
using Functions = List<Neg, Abs, Exp, Log, Log1p, Sqrt, Rsqrt, Sin, Cos, Tanh, Sigmoid, Relu, Gelu, Silu,
                       Softplus, Erf, Clamp, Add, Sub, Mul, Div, Pow, Maximum, Minimum, Equal, NotEqual, Less,
                       LessEqual, Greater, GreaterEqual, Where>;

}  // namespace varve::pointwise
