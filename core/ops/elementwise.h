// Elementwise<F>: a pointwise function, or a slope of one, as an op. Update<F>: an optimizer's step as an op.
#pragma once

#include <varve/core/ops/pointwise.h>
#include <varve/core/pointwise_kernels.h>
#include <varve/core/record.h>

namespace varve {

namespace detail {
// Broadcasts the shapes and checks the types of `in` against what the function is for; so many outputs.
VARVE_API Specs infer_pointwise(const pointwise::About& about, int outputs, const Specs& in);
// The same for a function's slope, and for an update, which has none.
VARVE_API Specs infer_slope(std::string_view op, const pointwise::About& about, const Specs& in);
VARVE_API Specs infer_update(const pointwise::About& about, const Specs& in);
VARVE_API void run_pointwise(Backend& on, pointwise::Id fn, std::span<const double> constants, Views in,
                             Views out);

template <class F>
std::span<const double> constants_of(const F& f) {
  if constexpr (std::is_empty_v<F>)
    return {};
  else
    return {reinterpret_cast<const double*>(&f), pointwise::constants_in<F>};
}

// "mul" for a function, "mul.d1" for its slope.
template <class F>
struct PointwiseName {
  static constexpr std::string_view name = F::kAbout.name;
};
template <class F, int I>
struct PointwiseName<pointwise::Slope<F, I>> {
  static constexpr auto text = [] {
    std::array<char, F::kAbout.name.size() + 3> t{};
    for (size_t i = 0; i < F::kAbout.name.size(); ++i) t[i] = F::kAbout.name[i];
    t[t.size() - 3] = '.', t[t.size() - 2] = 'd', t[t.size() - 1] = static_cast<char>('0' + I);
    return t;
  }();
  static constexpr std::string_view name{text.data(), text.size()};
};
}  // namespace detail

template <class F>
struct Elementwise {
  static constexpr OpName name{detail::PointwiseName<F>::name, 1};
  [[no_unique_address]] F function;

  static void fields(auto& self, auto&& field) {
    if constexpr (!std::is_empty_v<F>) F::fields(self.function, field);
  }
  Specs infer(const Specs& in) const {
    using Y = decltype(pointwise::call_value(function, static_cast<const double*>(nullptr),
                                             std::make_index_sequence<F::kAbout.inputs>{}));
    return detail::infer_pointwise(F::kAbout, pointwise::kOutputsOf<Y>, in);
  }
  void run(Backend& on, Views in, Views out, const View&) const {
    detail::run_pointwise(on, pointwise::id_of<F>, detail::constants_of(function), in, out);
  }
  std::optional<RowUse> rows(Views, Views) const { return RowUse{}; }
  Keep keep() const { return {F::kAbout.slopes_read, F::kAbout.slopes_read_output}; }
  Tensors vjp(const Saved& s, const Tensors& dy) const
      requires(pointwise::HasSlope<F, 0> || pointwise::HasSlope<F, 1>) {
    Tensors dx(F::kAbout.inputs);
    slope_into<0>(s, dy[0], dx);
    slope_into<1>(s, dy[0], dx);
    slope_into<2>(s, dy[0], dx);
    return dx;
  }

 private:
  template <int I>
  void slope_into(const Saved& s, const Tensor& dy, Tensors& dx) const {
    if constexpr (pointwise::HasSlope<F, I>) {
      if (!s.wants(I)) return;
      if constexpr (pointwise::kSlopeIsOne<F, I>) {
        dx[I] = dy;
      } else {
        Few<Tensor, 4> in{dy};
        for (int i = 0; i < F::kAbout.inputs; ++i)
          if ((F::kAbout.slopes_read >> i) & 1u) in.push_back(s.input(i));
        if (F::kAbout.slopes_read_output) in.push_back(s.output(0));
        dx[I] = apply_one(OpOf(Elementwise<pointwise::Slope<F, I>>{{function}}), in);
      }
    }
  }
};

// A slope is one kernel going forward; its own derivative comes from its formula, written over tensors.
template <class F, int I>
struct Elementwise<pointwise::Slope<F, I>> {
  using Function = pointwise::Slope<F, I>;
  static constexpr OpName name{detail::PointwiseName<Function>::name, 1};
  [[no_unique_address]] Function function;

  static void fields(auto& self, auto&& field) {
    if constexpr (!std::is_empty_v<F>) F::fields(self.function, field);
  }
  Specs infer(const Specs& in) const { return detail::infer_slope(name.name, Function::kAbout, in); }
  void run(Backend& on, Views in, Views out, const View&) const {
    detail::run_pointwise(on, pointwise::id_of<Function>, detail::constants_of(function), in, out);
  }
  std::optional<RowUse> rows(Views, Views) const { return RowUse{}; }
  Keep keep() const { return {(1u << Function::kAbout.inputs) - 1, 0}; }
  Tensors vjp(const Saved& s, const Tensors& dy) const {
    Tensors in;
    for (size_t i = 0; i < s.inputs(); ++i) in.push_back(s.input(i));
    const auto formula = [this]<size_t... k>(const Tensors& t, std::index_sequence<k...>) {
      return function.value(t[k]...);
    };
    return vjp_of(
        [&](const Tensors& t) { return formula(t, std::make_index_sequence<Function::kAbout.inputs>{}); }, in,
        dy[0]);
  }
};

// p, moments = F(p, g, moments, numbers...), in place. F's outputs are p and what follows g; all but the
// numbers are of p's shape.
template <class F, int kOutputs>
struct Update {
  static constexpr OpName name{F::kAbout.name, 1};
  static constexpr uint32_t updates = 1u | (((1u << kOutputs) - 1) & ~1u) << 1;  // 0, and 2 to kOutputs
  F function;

  static void fields(auto& self, auto&& field) { F::fields(self.function, field); }
  Specs infer(const Specs& in) const { return detail::infer_update(F::kAbout, in); }
  void run(Backend& on, Views in, Views, const View&) const {
    std::array<View, kOutputs> written{in[0]};
    for (int i = 1; i < kOutputs; ++i) written[i] = in[i + 1];
    detail::run_pointwise(on, pointwise::id_of<F>, detail::constants_of(function), in, written);
  }
  std::optional<RowUse> rows(Views, Views) const { return RowUse{}; }
};
using AdamRates = Elementwise<pointwise::AdamRates>;
using SgdStep = Update<pointwise::SgdUpdate, 2>;
using AdamStep = Update<pointwise::AdamUpdate, 3>;
using MasterStep = Update<pointwise::MasterUpdate, 1>;

}  // namespace varve
