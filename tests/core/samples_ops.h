// Samples of the ops that compute and are not pointwise: made, drawn, copied, reduced, row by row,
// multiplied, indexed.
#pragma once

#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>

#include "tests/core/samples_pointwise.h"

namespace varve::test {

// ---- made and drawn ----

template <>
struct Samples<Full> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Full>> make(Draws&, DType d) {
    return {{{{}, 1, d}, {}},
            {{{3, 2}, 0, d}, {}},
            {{{0, 4}, 1, d}, {}},
            {{{600}, is_unsigned(d) ? 1.0 : -2.0, d}, {}}};
  }
};

template <RandomFn kFn>
struct Samples<Draw<kFn>> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static constexpr uint32_t kFixed = 1;  // a state is contiguous
  static std::vector<Sample<Draw<kFn>>> make(Draws& draws, DType d) {
    std::vector<Sample<Draw<kFn>>> out;
    for (const Shape& s : {Shape{}, Shape{3}, Shape{7, 5}, Shape{0}, Shape{2, 1000}})
      out.push_back({{s, d}, {draws.state()}});
    return out;
  }
};

template <>
struct Samples<DropoutMask> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static constexpr uint32_t kFixed = 1;
  static std::vector<Sample<DropoutMask>> make(Draws& draws, DType d) {
    std::vector<Sample<DropoutMask>> out;
    for (double p : {0.0, 0.25, 0.5})
      for (const Shape& s : {Shape{}, Shape{7, 5}, Shape{0}, Shape{3, 700}})
        out.push_back({{p}, {draws.state(), draws.numbers(s, d)}});
    return out;
  }
};

// ---- copied ----

template <>
struct Samples<Clone> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Clone>> make(Draws& draws, DType d) {
    std::vector<Sample<Clone>> out;
    for (const Shape& s : {Shape{}, Shape{2, 3, 4}, Shape{0, 2}, Shape{3, 133}})
      out.push_back({{}, {draws.numbers(s, d)}});
    return out;
  }
};

template <>
struct Samples<Cast> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Cast>> make(Draws& draws, DType d) {
    std::vector<Sample<Cast>> out;
    for (size_t to = 0; to < kDTypes; ++to)
      out.push_back({{static_cast<DType>(to)}, {draws.numbers({2, 3}, d, {0, 100, {}})}});
    out.push_back({{DType::f64}, {draws.numbers({3, 133}, d)}});
    out.push_back({{DType::f64}, {draws.numbers({0}, d)}});
    out.push_back({{DType::i32}, {draws.numbers({}, d)}});
    return out;
  }
};

template <>
struct Samples<Assign> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Assign>> make(Draws& draws, DType d) {
    return {{{}, {draws.numbers({2, 3}, d), draws.numbers({2, 3}, d)}},
            {{}, {draws.numbers({2, 3}, d), draws.numbers({3}, DType::f32)}},
            {{}, {draws.numbers({2, 133}, d), draws.numbers({2, 1}, DType::i32, {0, 100, {}})}},
            {{}, {draws.numbers({0, 3}, d), draws.numbers({}, d)}}};
  }
};

template <>
struct Samples<Cat> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Cat>> make(Draws& draws, DType d) {
    const auto x = [&](const Shape& s) { return draws.numbers(s, d); };
    return {{{0}, {x({2, 3}), x({1, 3}), x({4, 3})}},
            {{1}, {x({2, 3}), x({2, 0}), x({2, 2})}},
            {{-1}, {x({2, 2, 133}), x({2, 2, 1})}},
            {{0}, {x({3})}},
            {{0}, {x({0, 2}), x({0, 2})}}};
  }
};

template <>
struct Samples<Pad> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Pad>> make(Draws& draws, DType d) {
    const auto x = [&](const Shape& s) { return draws.numbers(s, d); };
    return {{{0, 1, 2, 0, 0}, {x({3})}},     {{1, 0, 3, 0, 1}, {x({2, 3})}},
            {{-1, 2, 0, 2, 0}, {x({2, 4})}}, {{0, 0, 0, 1, 0}, {x({4, 2, 2})}},
            {{0, 1, 1, 3, 0}, {x({0, 2})}},  {{0, 1, 0, 0, 0}, {x({1, 133})}}};
  }
};

// ---- reduced ----

// No axes, one, several, kept or not, scalars, empty ones; `empty`: also empty along a reduced axis.
template <class T>
std::vector<Sample<T>> reduce_samples(Draws& draws, DType d, const Range& range, bool empty) {
  std::vector<Sample<T>> out;
  const auto add = [&](const Shape& s, const Axes& axes, bool keep) {
    out.push_back({{axes, keep}, {draws.numbers(s, d, range)}});
  };
  for (bool keep : {false, true}) {
    for (const Axes& axes : {Axes{}, Axes{0}, Axes{1}, Axes{-1}, Axes{0, 2}, Axes{2, 1}, Axes{0, 1, 2}})
      add({2, 3, 4}, axes, keep);
    add({}, {}, keep);
    add({0, 3}, {1}, keep);
    add({3, 35}, {1}, keep);
    add({35, 3}, {0}, keep);
  }
  if (empty) add({0, 3}, {0}, false), add({0}, {}, true);
  return out;
}

template <ReduceFn kFn>
struct Samples<Reduce<kFn>> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Reduce<kFn>>> make(Draws& draws, DType d) {
    const bool product = kFn == ReduceFn::prod, extreme = kFn == ReduceFn::max || kFn == ReduceFn::min;
    // Products of integers stay within their type: |x| <= 1.
    const Range range = !product ? Range{-5, 5} : is_floating(d) ? Range{-1.5, 1.5, {0}} : Range{-1, 1};
    return reduce_samples<Reduce<kFn>>(draws, d, range, !extreme);
  }
};

template <>
struct Samples<Mean> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static std::vector<Sample<Mean>> make(Draws& draws, DType d) {
    return reduce_samples<Mean>(draws, d, {-5, 5}, false);
  }
};

// ---- row by row ----

template <RowFn kFn>
struct Samples<RowOp<kFn>> {
  static constexpr Accepts kAccepts = RowOp<kFn>::kSoft ? Accepts::soft_rows : Accepts::rows;
  static std::vector<Sample<RowOp<kFn>>> make(Draws& draws, DType d) {
    const bool arg = kFn == RowFn::argmax || kFn == RowFn::argmin;
    std::vector<Sample<RowOp<kFn>>> out;
    for (const Shape& s : {Shape{1}, Shape{7}, Shape{2, 3, 4}, Shape{3, 1}, Shape{19, 3}, Shape{3, 37},
                           Shape{2, 130}, Shape{0, 4}})
      out.push_back({{}, {draws.numbers(s, d, {-4, 4})}});
    if (!arg) out.push_back({{}, {draws.numbers({2, 0}, d)}});
    return out;
  }
};

// Logits, and targets for each row: one row, several, none, of one class, and rows longer than a register and
// than those that lie side by side in them.
inline std::vector<Tensors> classified(Draws& draws, DType d) {
  std::vector<Tensors> out;
  for (const Shape& s :
       {Shape{5}, Shape{2, 3, 4}, Shape{3, 1}, Shape{19, 3}, Shape{3, 37}, Shape{2, 130}, Shape{0, 4}}) {
    Shape each = s;
    each.erase(s.rank() - 1);
    out.push_back({draws.numbers(s, d, {-4, 4}), draws.targets(each, s.back())});
  }
  return out;
}

template <>
struct Samples<CrossEntropy> {
  static constexpr Accepts kAccepts = Accepts::soft_rows;
  static std::vector<Sample<CrossEntropy>> make(Draws& draws, DType d) {
    std::vector<Sample<CrossEntropy>> out;
    for (Tensors& in : classified(draws, d)) out.push_back({{}, std::move(in)});
    return out;
  }
};

template <RowFn kFn>
struct Samples<SoftSlope<kFn>> {
  static constexpr Accepts kAccepts = Accepts::soft_rows;
  static std::vector<Sample<SoftSlope<kFn>>> make(Draws& draws, DType d) {
    std::vector<Sample<SoftSlope<kFn>>> out;
    for (const Shape& shape : {Shape{3, 5}, Shape{2, 3, 40}, Shape{7}, Shape{2, 1}, Shape{0, 3}, Shape{2, 0}})
      out.push_back({{}, {draws.numbers(shape, d), draws.numbers(shape, d)}});
    return out;
  }
};

template <>
struct Samples<CrossEntropySlope> {
  static constexpr Accepts kAccepts = Accepts::soft_rows;
  static std::vector<Sample<CrossEntropySlope>> make(Draws& draws, DType d) {
    std::vector<Sample<CrossEntropySlope>> out;
    for (Tensors& in : classified(draws, d)) {
      in.push_back(draws.numbers(in[1].shape(), d));
      out.push_back({{}, std::move(in)});
    }
    return out;
  }
};

// ---- multiplied ----

template <>
struct Samples<Matmul> {
  static constexpr Accepts kAccepts = Accepts::floating;
  static std::vector<Sample<Matmul>> make(Draws& draws, DType d) {
    std::vector<Sample<Matmul>> out;
    const auto add = [&](const Shape& a, const Shape& b, bool ta = false, bool tb = false) {
      out.push_back({{ta, tb}, {draws.numbers(a, d), draws.numbers(b, d)}});
    };
    add({2, 3}, {3, 4}), add({3, 2}, {3, 4}, true), add({2, 3}, {4, 3}, false, true),
        add({3, 2}, {4, 3}, true, true);
    add({2, 1, 3, 2}, {4, 2, 3}), add({3, 2}, {2, 2, 4}), add({2, 2, 3}, {2, 4, 3}, false, true);
    add({2, 3, 2}, {2, 4}), add({2, 3, 2}, {4, 2}, false, true);
    add({1, 5}, {5, 1}), add({1, 1}, {1, 4}), add({5, 1}, {1, 3}), add({5, 7}, {7, 6});
    add({2, 0}, {0, 3}), add({0, 2}, {2, 3}), add({2, 2}, {2, 0}), add({0, 2, 3}, {3, 2});
    add({96, 0}, {0, 80});
    add({33, 70}, {70, 29}), add({70, 33}, {29, 70}, true, true);
    return out;
  }
};

// ---- indexed ----

template <>
struct Samples<Gather> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<Gather>> make(Draws& draws, DType d) {
    const auto x = [&](const Shape& s) { return draws.numbers(s, d); };
    return {{{0}, {x({4}), draws.indices({6}, 4)}},
            {{0}, {x({4, 3}), draws.indices({5, 1}, 4)}},
            {{1}, {x({4, 3}), draws.indices({4, 2}, 3)}},
            {{-1}, {x({1, 2, 3}), draws.indices({4, 1, 2}, 3)}},
            {{1}, {x({2, 3, 40}), draws.indices({1, 5, 1}, 3)}},
            {{0}, {x({3, 2}), draws.indices({0, 2}, 3)}}};
  }
};

template <>
struct Samples<ScatterAdd> {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<ScatterAdd>> make(Draws& draws, DType d) {
    const auto x = [&](const Shape& s) { return draws.numbers(s, d); };
    return {{{0}, {x({4}), draws.indices({6}, 4), x({6})}},
            {{0}, {x({4, 3}), draws.indices({5, 1}, 4), x({5, 3})}},
            {{-1}, {x({2, 3}), draws.indices({2, 4}, 3), x({2, 4})}},
            {{1}, {x({2, 3, 40}), draws.indices({1, 5, 1}, 3), x({2, 5, 40})}},
            {{0}, {x({3, 2}), draws.indices({0, 2}, 3), x({0, 2})}}};
  }
};

}  // namespace varve::test
