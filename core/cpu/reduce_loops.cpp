// Folding rows and columns: fixed-width lanes from the start of the row, then a fixed tree over the lanes.
#include <algorithm>

#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/lanes.h>

namespace varve::cpu {
namespace {

using pointwise::maximum;
using pointwise::minimum;

template <ReduceFn kFn>
auto combine(const auto& a, const auto& b) {
  if constexpr (kFn == ReduceFn::sum)
    return a + b;
  else if constexpr (kFn == ReduceFn::prod)
    return a * b;
  else if constexpr (kFn == ReduceFn::max)
    return maximum(a, b);
  else
    return minimum(a, b);
}

template <class T>
struct Register {  // eight plain numbers
  static constexpr int kWidth = 8;
  T v[kWidth];
  static Register load(const T* x) {
    Register r;
    std::copy_n(x, kWidth, r.v);
    return r;
  }
  void store(T* y) const { std::copy_n(v, kWidth, y); }
};
template <>
struct Register<float> : Lanes<float> {
  Register() = default;
  Register(const Lanes<float>& l) : Lanes<float>(l) {}
};
template <>
struct Register<double> : Lanes<double> {
  Register() = default;
  Register(const Lanes<double>& l) : Lanes<double>(l) {}
};

template <ReduceFn kFn, class T>
Register<T> combined(const Register<T>& a, const Register<T>& b) {
  if constexpr (std::is_floating_point_v<T>) {
    return combine<kFn>(static_cast<const Lanes<T>&>(a), static_cast<const Lanes<T>&>(b));
  } else {
    Register<T> y;
    for (int i = 0; i < Register<T>::kWidth; ++i) y.v[i] = combine<kFn>(a.v[i], b.v[i]);
    return y;
  }
}

// Four registers in turn hide the latency of one; whole ones first, the rest number by number at the end.
template <ReduceFn kFn, class T>
void row(const void* from, int64_t n, void* to) {
  constexpr int kWidth = Register<T>::kWidth, kTurns = 4;
  const T* x = static_cast<const T*>(from);
  const int64_t whole = n / kWidth;
  if (whole == 0) {
    T y = x[0];
    for (int64_t i = 1; i < n; ++i) y = combine<kFn>(y, x[i]);
    *static_cast<T*>(to) = y;
    return;
  }
  Register<T> acc[kTurns];
  const int turns = static_cast<int>(std::min<int64_t>(whole, kTurns));
  for (int t = 0; t < turns; ++t) acc[t] = Register<T>(Register<T>::load(x + t * kWidth));
  int64_t r = turns;
  for (; r + kTurns <= whole; r += kTurns)
    for (int t = 0; t < kTurns; ++t)
      acc[t] = combined<kFn, T>(acc[t], Register<T>::load(x + (r + t) * kWidth));
  for (int t = 0; r < whole; ++r, ++t) acc[t] = combined<kFn, T>(acc[t], Register<T>::load(x + r * kWidth));
  for (int t = 1; t < turns; ++t) acc[0] = combined<kFn, T>(acc[0], acc[t]);
  alignas(64) T lanes[kWidth];
  acc[0].store(lanes);
  for (int half = kWidth / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] = combine<kFn>(lanes[i], lanes[i + half]);
  T y = lanes[0];
  for (int64_t i = whole * kWidth; i < n; ++i) y = combine<kFn>(y, x[i]);
  *static_cast<T*>(to) = y;
}

template <ReduceFn kFn, class T>
void columns(const void* from, void* to, int64_t n) {
  constexpr int kWidth = Register<T>::kWidth;
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth)
    combined<kFn, T>(Register<T>::load(y + i), Register<T>::load(x + i)).store(y + i);
  for (; i < n; ++i) y[i] = combine<kFn>(y[i], x[i]);
}

template <ReduceFn kFn>
void fill_fn(Kernels& table) {
  auto& entry = table.reduce[static_cast<size_t>(kFn)];
  entry[static_cast<size_t>(Compute::f32)] = {row<kFn, float>, columns<kFn, float>};
  entry[static_cast<size_t>(Compute::f64)] = {row<kFn, double>, columns<kFn, double>};
  entry[static_cast<size_t>(Compute::i64)] = {row<kFn, int64_t>, columns<kFn, int64_t>};
  entry[static_cast<size_t>(Compute::u64)] = {row<kFn, uint64_t>, columns<kFn, uint64_t>};
}

}  // namespace

void fill_reductions(Kernels& table) {
  fill_fn<ReduceFn::sum>(table);
  fill_fn<ReduceFn::prod>(table);
  fill_fn<ReduceFn::max>(table);
  fill_fn<ReduceFn::min>(table);
}

}  // namespace varve::cpu
