// Samples of the pointwise functions, their slopes, and the updates: by one Domain for each function, which
// has no default.
#pragma once

#include <varve/core/ops/elementwise.h>

#include "tests/core/samples.h"

namespace varve::test {

template <class T>
struct Sample {
  T op;
  Tensors in;
};
template <class T>
struct Samples;

// ranges(): what to draw each input from. function(): constants, where there are any.
template <class F>
struct Domain;

namespace detail {
template <class F>
F plain_function() {
  static_assert(std::is_empty_v<F>, "the Domain of a function with constants says which in function()");
  return {};
}
}  // namespace detail

struct AnyUnary {
  static std::vector<Range> ranges() { return {{-3, 3}}; }
};
struct PositiveUnary {
  static std::vector<Range> ranges() { return {{0.2, 4}}; }
};
struct KinkAtZero {
  static std::vector<Range> ranges() { return {{-3, 3, {0}}}; }
};
struct AnyBinary {
  static std::vector<Range> ranges() { return {{-3, 3}, {-2, 4}}; }
};
struct WithTies {
  static std::vector<Range> ranges() { return {{-2, 2, {}, 0.5}, {-2, 2, {}, 0.5}}; }
};

template <>
struct Domain<pointwise::Neg> : AnyUnary {};
template <>
struct Domain<pointwise::Abs> : KinkAtZero {};
template <>
struct Domain<pointwise::Exp> : AnyUnary {};
template <>
struct Domain<pointwise::Log> : PositiveUnary {};
template <>
struct Domain<pointwise::Log1p> {
  static std::vector<Range> ranges() { return {{-0.8, 4}}; }
};
template <>
struct Domain<pointwise::Sqrt> : PositiveUnary {};
template <>
struct Domain<pointwise::Rsqrt> : PositiveUnary {};
template <>
struct Domain<pointwise::Sin> : AnyUnary {};
template <>
struct Domain<pointwise::Cos> : AnyUnary {};
template <>
struct Domain<pointwise::Tanh> : AnyUnary {};
template <>
struct Domain<pointwise::Sigmoid> : AnyUnary {};
template <>
struct Domain<pointwise::Relu> : KinkAtZero {};
template <>
struct Domain<pointwise::Gelu> : AnyUnary {};
template <>
struct Domain<pointwise::Silu> : AnyUnary {};
template <>
struct Domain<pointwise::Softplus> : KinkAtZero {};  // smooth, but its value is written with max and abs
template <>
struct Domain<pointwise::Erf> : AnyUnary {};
template <>
struct Domain<pointwise::Clamp> {
  static std::vector<Range> ranges() { return {{-3, 3, {-1, 1.25}}}; }
  static pointwise::Clamp function() { return {-1, 1.25}; }
};
template <>
struct Domain<pointwise::Add> : AnyBinary {};
template <>
struct Domain<pointwise::Sub> : AnyBinary {};
template <>
struct Domain<pointwise::Mul> : AnyBinary {};
template <>
struct Domain<pointwise::Div> {
  static std::vector<Range> ranges() { return {{-3, 3}, {0.5, 3}}; }
};
template <>
struct Domain<pointwise::Pow> {
  static std::vector<Range> ranges() { return {{0.3, 3}, {-2, 2, {0}}}; }
};
template <>
struct Domain<pointwise::Maximum> : AnyBinary {};
template <>
struct Domain<pointwise::Minimum> : AnyBinary {};
template <>
struct Domain<pointwise::Equal> : WithTies {};
template <>
struct Domain<pointwise::NotEqual> : WithTies {};
template <>
struct Domain<pointwise::Less> : WithTies {};
template <>
struct Domain<pointwise::LessEqual> : WithTies {};
template <>
struct Domain<pointwise::Greater> : WithTies {};
template <>
struct Domain<pointwise::GreaterEqual> : WithTies {};
template <>
struct Domain<pointwise::Where> {
  static std::vector<Range> ranges() { return {{0, 1}, {-3, 3}, {-3, 3}}; }
};

// Shapes of the inputs of a function: alike, broadcast both ways, scalars, empty, and rows longer than a
// register.
inline std::vector<std::vector<Shape>> shapes_for(int inputs) {
  if (inputs == 1) return {{{}}, {{3}}, {{2, 3, 4}}, {{0, 3}}, {{3, 133}}};
  if (inputs == 2)
    return {{{2, 3}, {2, 3}}, {{2, 1, 3}, {4, 1}}, {{}, {3}}, {{3}, {}}, {{0, 2}, {2}}, {{3, 133}, {133}}};
  return {{{2, 3}, {2, 3}, {2, 3}},
          {{2, 1}, {3}, {}},
          {{3}, {2, 3}, {2, 1}},
          {{0}, {1}, {1}},
          {{133}, {2, 133}, {}}};
}

template <class F>
struct Samples<Elementwise<F>> {
  static constexpr Accepts kAccepts =
      F::kAbout.domain == pointwise::Domain::numeric ? Accepts::all : Accepts::floating;

  static F function() {
    if constexpr (requires { Domain<F>::function(); })
      return Domain<F>::function();
    else
      return detail::plain_function<F>();
  }
  static std::vector<Sample<Elementwise<F>>> make(Draws& draws, DType dtype) {
    std::vector<Sample<Elementwise<F>>> out;
    const std::vector<Range> ranges = Domain<F>::ranges();
    for (const std::vector<Shape>& shapes : shapes_for(F::kAbout.inputs)) {
      Tensors in;
      for (size_t i = 0; i < shapes.size(); ++i) {
        const bool condition = F::kAbout.condition && i == 0;
        in.push_back(draws.numbers(shapes[i], condition ? DType::boolean : dtype, ranges[i]));
      }
      out.push_back({{function()}, in});
    }
    return out;
  }
};

// A slope takes its inputs from its function's samples, and y from what the function makes of them.
template <class F, int I>
struct Samples<Elementwise<pointwise::Slope<F, I>>> {
  using T = Elementwise<pointwise::Slope<F, I>>;
  static constexpr Accepts kAccepts = Accepts::floating;

  static std::vector<Sample<T>> make(Draws& draws, DType dtype) {
    std::vector<Sample<T>> out;
    for (const auto& sample : Samples<Elementwise<F>>::make(draws, dtype)) {
      const Tensor y = apply_one_of(sample);
      Tensors in{draws.numbers(y.shape(), dtype)};
      for (size_t i = 0; i < sample.in.size(); ++i)
        if ((F::kAbout.slopes_read >> i) & 1u) in.push_back(cast(sample.in[i], dtype));
      if (F::kAbout.slopes_read_output) in.push_back(away_from_kinks(y));
      out.push_back({{{Samples<Elementwise<F>>::function()}}, in});
    }
    return out;
  }

 private:
  static Tensor apply_one_of(const Sample<Elementwise<F>>& s) { return apply_op(OpOf(s.op), s.in)[0]; }
  // relu's y is exactly at its own kink wherever x was negative: there, any y below it stands for it.
  static Tensor away_from_kinks(Tensor y) {
    const Range range = Domain<F>::ranges()[0];
    for (double kink : range.kinks) y = where(equal(y, scalar_like(kink, y)), y - 0.25, y);
    return y;
  }
};

template <>
struct Samples<AdamRates> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static std::vector<Sample<AdamRates>> make(Draws& draws, DType d) {
    std::vector<Sample<AdamRates>> out;
    for (const Shape& s : {Shape{}, Shape{5}, Shape{3, 133}, Shape{0}})
      out.push_back({{{0.75, 0.875, 0.25}}, {draws.numbers(s, d, {1, 9}), draws.numbers({}, d, {0.5, 2})}});
    return out;
  }
};

// ---- updates: written over their inputs ----

inline Tensor scalar(double value) { return full({}, value, DType::f64); }

template <>
struct Samples<SgdStep> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static std::vector<Sample<SgdStep>> make(Draws& draws, DType d) {
    std::vector<Sample<SgdStep>> out;
    for (const Shape& s : {Shape{}, Shape{5}, Shape{3, 133}, Shape{0}})
      for (double nesterov : {0.0, 1.0})
        out.push_back({{{0.9, 0.01, nesterov}},
                       {draws.numbers(s, d), draws.numbers(s, d), draws.numbers(s, d), scalar(0.25)}});
    out.push_back(
        {{{0, 0, 0}},
         {draws.numbers({7}, d), draws.numbers({7}, d), draws.numbers({7}, DType::f32), scalar(0.5)}});
    return out;
  }
};

template <>
struct Samples<AdamStep> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static std::vector<Sample<AdamStep>> make(Draws& draws, DType d) {
    std::vector<Sample<AdamStep>> out;
    for (const Shape& s : {Shape{}, Shape{5}, Shape{3, 133}, Shape{0}})
      for (double decay : {0.0, 0.125})
        out.push_back({{{0.9, 0.999, 1e-4, decay}},
                       {draws.numbers(s, d), draws.numbers(s, d), draws.numbers(s, d),
                        draws.numbers(s, d, {0.5, 2}), scalar(0.125), scalar(0.75), scalar(0.9375)}});
    return out;
  }
};

template <>
struct Samples<MasterStep> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static std::vector<Sample<MasterStep>> make(Draws& draws, DType d) {
    std::vector<Sample<MasterStep>> out;
    for (const Shape& s : {Shape{}, Shape{5}, Shape{3, 133}, Shape{0}})
      for (const bool written : {false, true}) {
        const Tensor rounded = draws.numbers(s, d);
        out.push_back({{}, {draws.numbers(s, d), rounded, written ? draws.numbers(s, d) : clone(rounded)}});
      }
    return out;
  }
};

}  // namespace varve::test
