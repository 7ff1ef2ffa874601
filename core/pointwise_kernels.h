// The kernels of the pointwise family: every function, every slope of one, the optimizers' in-place updates,
// and what ops are made of.
#pragma once

#include <varve/core/pointwise.h>

namespace varve::pointwise {

// ---- slopes as functions ----

namespace detail {
template <class F, int I, size_t... k>
consteval bool has_slope(std::index_sequence<k...>) {
  if constexpr (I == 0) return requires(F f) {
      f.d0((static_cast<void>(k), 0.0)...);
    };
  if constexpr (I == 1) return requires(F f) {
      f.d1((static_cast<void>(k), 0.0)...);
    };
  if constexpr (I == 2) return requires(F f) {
      f.d2((static_cast<void>(k), 0.0)...);
    };
  return false;
}
}  // namespace detail

// Whether F has a derivative with respect to input I.
template <class F, int I>
concept HasSlope =
    I < F::kAbout.inputs&& detail::has_slope<F, I>(std::make_index_sequence<F::kAbout.inputs + 1>{});

template <int I>
VARVE_HD auto slope(const auto& f, auto... v) {
  if constexpr (I == 0)
    return f.d0(v...);
  else if constexpr (I == 1)
    return f.d1(v...);
  else
    return f.d2(v...);
}

// Positions of what the slopes of F read among (inputs..., y).
template <class F>
struct SlopeReads {
  static constexpr int kTotal = F::kAbout.inputs + 1;
  static constexpr bool reads(int i) {
    return i < F::kAbout.inputs ? (F::kAbout.slopes_read >> i) & 1u : F::kAbout.slopes_read_output;
  }
  static constexpr int count(int before = kTotal) {
    int n = 0;
    for (int i = 0; i < before; ++i) n += reads(i);
    return n;
  }
};

// dx_I = dy * dF/dx_I, of inputs (dy, then what the slopes read). A function like any other, with F's
// constants.
template <class F, int I>
struct Slope : F {
  using Function = F;
  using Reads = SlopeReads<F>;
  static constexpr int kIndex = I;
  static constexpr About kAbout{.name = F::kAbout.name, .inputs = 1 + Reads::count()};

  template <class V, class... Rest>
  VARVE_HD auto value(V dy, Rest... rest) const {
    return with_reads(std::make_index_sequence<Reads::kTotal>{}, dy, rest...);
  }

 private:
  template <size_t... k, class V, class... Rest>
  VARVE_HD auto with_reads(std::index_sequence<k...>, V dy, Rest... rest) const {
    const V read[] = {dy, rest...};
    return dy * slope<I>(static_cast<const F&>(*this), read[Reads::reads(k) ? 1 + Reads::count(k) : 0]...);
  }
};

namespace detail {
template <class F, int I, size_t... k>
consteval bool slope_is_one(std::index_sequence<k...>) {
  return std::is_same_v<decltype(slope<I>(F{}, (static_cast<void>(k), 0.0)...)), One>;
}
}  // namespace detail
// Whether dF/d(input I) is 1 everywhere: then no kernel is needed.
template <class F, int I>
inline constexpr bool kSlopeIsOne =
    detail::slope_is_one<F, I>(std::make_index_sequence<F::kAbout.inputs + 1>{});

namespace detail {
template <class F, int I>
auto slope_if() {
  if constexpr (HasSlope<F, I>)
    if constexpr (!kSlopeIsOne<F, I>)
      return List<Slope<F, I>>{};
    else
      return List<>{};
  else
    return List<>{};
}
template <class F, int I>
using SlopeIf = decltype(slope_if<F, I>());
template <class... Fs>
auto slopes_of(List<Fs...>) -> Concat<SlopeIf<Fs, 0>..., SlopeIf<Fs, 1>..., SlopeIf<Fs, 2>...>;
}  // namespace detail

using Slopes = decltype(detail::slopes_of(Functions{}));

// ---- updates: several outputs, written over their inputs ----

// Inputs p, g, b, lr; outputs p, b. g += decay p; b = momentum b + g; p -= lr (nesterov ? g + momentum b :
// b).
struct SgdUpdate {
  static constexpr About kAbout{.name = "sgd_update", .inputs = 4, .numbers = 1};
  double momentum = 0, weight_decay = 0, nesterov = 0;
  static void fields(auto& self, auto&& field) {
    field("momentum", self.momentum);
    field("weight_decay", self.weight_decay);
    field("nesterov", self.nesterov);
  }
  template <class V>
  VARVE_HD std::array<V, 2> value(V p, V g, V b, V lr) const {
    g = g + weight_decay * p;
    b = momentum * b + g;
    return {p - lr * (nesterov * (g + momentum * b) + (1.0 - nesterov) * b), b};
  }
};

// Adam (Kingma and Ba, arXiv:1412.6980) and AdamW (Loshchilov and Hutter, arXiv:1711.05101).
// Inputs p, g, m, v, rate = lr / (1 - beta1^t), scale = 1 / sqrt(1 - beta2^t), keep = 1 - lr decay; outputs
// p, m, v.
struct AdamUpdate {
  static constexpr About kAbout{.name = "adam_update", .inputs = 7, .numbers = 3};
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  static void fields(auto& self, auto&& field) {
    field("beta1", self.beta1);
    field("beta2", self.beta2);
    field("eps", self.eps);
    field("weight_decay", self.weight_decay);
  }
  template <class V>
  VARVE_HD std::array<V, 3> value(V p, V g, V m, V v, V rate, V scale, V keep) const {
    g = g + weight_decay * p;
    m = m + (1.0 - beta1) * (g - m);
    v = beta2 * v + (1.0 - beta2) * (g * g);
    return {keep * p - rate * m / (sqrt(v) * scale + eps), m, v};
  }
};

// What a half is trained as. Inputs master, the half rounded from it, p; output master: p where somebody has
// written another p since it was rounded from the master.
struct MasterUpdate {
  static constexpr About kAbout{.name = "master_update", .inputs = 3};
  static void fields(auto&, auto&&) {}
  template <class V>
  VARVE_HD V value(V master, V rounded, V p) const {
    return select(rounded == p, master, p);
  }
};

using Updates = List<SgdUpdate, AdamUpdate, MasterUpdate>;

// ---- parts of ops ----

struct DivideBy {
  static constexpr About kAbout{.name = "divide_by"};
  double divisor = 1;
  VARVE_HD auto value(auto x) const { return x / divisor; }
};

// What AdamUpdate takes after step t, which counts from 1. Inputs t, lr; outputs lr / (1 - beta1^t),
// 1 / sqrt(1 - beta2^t), 1 - lr decay.
struct AdamRates {
  static constexpr About kAbout{.name = "adam_rates", .inputs = 2};
  double beta1 = 0.9, beta2 = 0.999, decay = 0;
  static void fields(auto& self, auto&& field) {
    field("beta1", self.beta1);
    field("beta2", self.beta2);
    field("decay", self.decay);
  }
  template <class V>
  VARVE_HD std::array<V, 3> value(V t, V lr) const {
    t = maximum(t, 1.0);  // of what has taken no step, and needs no rate
    return {lr / (1.0 - pow(V(beta1), t)), rsqrt(1.0 - pow(V(beta2), t)), 1.0 - lr * decay};
  }
};

// What a conversion is, between dtypes of one compute type.
struct Itself {
  static constexpr About kAbout{.name = "itself", .domain = Domain::numeric};
  static VARVE_HD auto value(auto x) { return x; }
};

using Parts = List<DivideBy, AdamRates, Itself>;

// ---- the table every backend fills ----

using Kernels = Concat<Functions, Slopes, Updates, Parts>;

// A kernel's place in the table.
enum class Id : uint16_t;
template <class F>
inline constexpr Id id_of = static_cast<Id>(index_in<F>(Kernels{}));

// A function's constants travel as an array of doubles: F is an aggregate of doubles, or empty.
inline constexpr size_t kMaxConstants = 8;
template <class F>
inline constexpr size_t constants_in = std::is_empty_v<F> ? 0 : sizeof(F) / sizeof(double);

template <class F>
VARVE_HD F with_constants(const double* constants) {
  F f{};
  if constexpr (constants_in < F >> 0) __builtin_memcpy(static_cast<void*>(&f), constants, sizeof(F));
  return f;
}

// How many values F gives, from what its value() returns.
template <class T>
inline constexpr int kOutputsOf = 1;
template <class V, size_t n>
inline constexpr int kOutputsOf<std::array<V, n>> = n;

// Calls f with n copies of v: to ask for types and to unpack arrays of inputs.
template <size_t... k>
VARVE_HD auto call_value(const auto& f, const auto* v, std::index_sequence<k...>) {
  return f.value(v[k]...);
}

}  // namespace varve::pointwise
