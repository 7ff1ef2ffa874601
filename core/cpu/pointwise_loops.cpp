// The pointwise table: each function over each compute type it is for, in steps of one Number, the tail
// padded through the same code.
#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/lanes.h>

namespace varve::cpu {
namespace {

using pointwise::About;

template <class T>
struct Step {  // plain numbers
  static constexpr int kWidth = 1;
  static T load(const T* from) { return *from; }
  static void store(T y, T* to) { *to = y; }
  static void store(bool y, T* to) { *to = y; }
};
template <class T>
struct LaneStep {
  static constexpr int kWidth = Lanes<T>::kWidth;
  static Lanes<T> load(const T* from) { return Lanes<T>::load(from); }
  static void store(const Lanes<T>& y, T* to) { y.store(to); }
  static void store(const Mask<T>& y, T* to) { indicator(y, y.bits).store(to); }
};
template <>
struct Step<float> : LaneStep<float> {};
template <>
struct Step<double> : LaneStep<double> {};

template <class F, class T>
struct Loop {
  using V = Number<T>;
  static constexpr int kIn = F::kAbout.inputs;
  static constexpr auto kIndices = std::make_index_sequence<kIn>{};
  using Y = decltype(pointwise::call_value(F{}, static_cast<const V*>(nullptr), kIndices));
  static constexpr int kOut = pointwise::kOutputsOf<Y>;
  static constexpr int kWidth = Step<T>::kWidth;

  static void step(const F& f, const T* const* in, T* const* out, int64_t at) {
    V v[kIn];
    for (int k = 0; k < kIn; ++k) v[k] = Step<T>::load(in[k] + at);
    const Y y = pointwise::call_value(f, v, kIndices);
    if constexpr (kOut == 1)
      Step<T>::store(y, out[0] + at);
    else
      for (int k = 0; k < kOut; ++k) Step<T>::store(y[k], out[k] + at);
  }

  // Flattened: a function too large for the compiler's taste would get its registers through memory.
  [[gnu::flatten]] static void run(const void* const* in, void* const* out, int64_t n,
                                   const double* constants) {
    const F f = pointwise::with_constants<F>(constants);
    const T* x[kIn];
    T* y[kOut];
    for (int k = 0; k < kIn; ++k) x[k] = static_cast<const T*>(in[k]);
    for (int k = 0; k < kOut; ++k) y[k] = static_cast<T*>(out[k]);
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) step(f, x, y, i);
    if (i < n) tail(f, x, y, i, n - i);
  }

  [[gnu::noinline]] static void tail(const F& f, const T* const* in, T* const* out, int64_t at, int64_t n) {
    alignas(64) T padded_in[kIn][kWidth] = {}, padded_out[kOut][kWidth];
    const T* x[kIn];
    T* y[kOut];
    for (int k = 0; k < kIn; ++k) {
      std::copy_n(in[k] + at, n, padded_in[k]);
      x[k] = padded_in[k];
    }
    for (int k = 0; k < kOut; ++k) y[k] = padded_out[k];
    step(f, x, y, 0);
    for (int k = 0; k < kOut; ++k) std::copy_n(padded_out[k], n, out[k] + at);
  }
};

}  // namespace

void fill_pointwise(Kernels& table) {
  for_each_type(pointwise::Kernels{}, [&]<class F>() {
    auto& entry = table.pointwise[static_cast<size_t>(pointwise::id_of<F>)];
    entry[static_cast<size_t>(Compute::f32)] = Loop<F, float>::run;
    entry[static_cast<size_t>(Compute::f64)] = Loop<F, double>::run;
    if constexpr (F::kAbout.domain == pointwise::Domain::numeric) {
      entry[static_cast<size_t>(Compute::i64)] = Loop<F, int64_t>::run;
      entry[static_cast<size_t>(Compute::u64)] = Loop<F, uint64_t>::run;
    }
  });
}

}  // namespace varve::cpu
