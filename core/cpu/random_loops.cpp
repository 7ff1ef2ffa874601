// Draws from Philox counters. Element i takes its words from a counter fixed by i alone.
#include <cmath>
#include <numbers>

#include <varve/core/cpu/kernels.h>
#include <varve/core/random.h>

namespace varve::cpu {
namespace {

// 24 or 53 random bits as a number in [0, 1).
float unit(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
double unit(uint32_t high, uint32_t low) {
  return static_cast<double>((uint64_t{high} << 32 | low) >> 11) * 0x1p-53;
}

// Four f32 from one counter, or four f64 from two.
template <class T>
void four_units(uint64_t seed, uint64_t counter, int64_t block, T* u) {
  if constexpr (std::is_same_v<T, float>) {
    const auto w = philox(seed, counter + static_cast<uint64_t>(block));
    for (int i = 0; i < 4; ++i) u[i] = unit(w[i]);
  } else {
    for (uint64_t half = 0; half < 2; ++half) {
      const auto w = philox(seed, counter + 2 * static_cast<uint64_t>(block) + half);
      for (int i = 0; i < 2; ++i) u[2 * half + i] = unit(w[2 * i], w[2 * i + 1]);
    }
  }
}

template <RandomFn kFn, class T>
void four(double p, T* u) {
  if constexpr (kFn == RandomFn::dropout) {
    const T keep = static_cast<T>(1 / (1 - p));
    for (int i = 0; i < 4; ++i) u[i] = u[i] < static_cast<T>(p) ? T(0) : keep;
  } else if constexpr (kFn == RandomFn::normal) {  // Box and Muller; 1 - u is never 0
    for (int i = 0; i < 4; i += 2) {
      const T log = static_cast<T>(std::log(1.0 - u[i]));  // by f64: with it a GPU's numbers are within 2 ulp
      const T radius = std::sqrt(T(-2) * log), angle = T(2) * std::numbers::pi_v<T> * u[i + 1];
      u[i] = radius * std::cos(angle);
      u[i + 1] = radius * std::sin(angle);
    }
  }
}

template <RandomFn kFn, class T>
void draw(double p, uint64_t seed, uint64_t counter, int64_t first, void* out, int64_t n) {
  static_assert(kDrawAlign == 4);
  T* y = static_cast<T*>(out);
  for (int64_t i = 0; i < n; i += 4) {
    T u[4];
    four_units(seed, counter, (first + i) / 4, u);
    four<kFn>(p, u);
    for (int64_t k = 0; k < 4 && i + k < n; ++k) y[i + k] = u[k];
  }
}

}  // namespace

void fill_random(Kernels& table) {
  const auto entry = [&](RandomFn fn) -> auto& { return table.random[static_cast<size_t>(fn)]; };
  entry(RandomFn::uniform)[0] = draw<RandomFn::uniform, float>;
  entry(RandomFn::uniform)[1] = draw<RandomFn::uniform, double>;
  entry(RandomFn::normal)[0] = draw<RandomFn::normal, float>;
  entry(RandomFn::normal)[1] = draw<RandomFn::normal, double>;
  entry(RandomFn::dropout)[0] = draw<RandomFn::dropout, float>;
  entry(RandomFn::dropout)[1] = draw<RandomFn::dropout, double>;
}

}  // namespace varve::cpu
