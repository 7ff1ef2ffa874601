// Draws from Philox counters, the CPU's numbers: element i takes its words from a counter fixed by i alone.
#include <numbers>

#include <varve/core/random.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

struct State {  // a file may show a state backwards
  uint64_t* words;
  int64_t step;
};

// Four f32 from one counter, or four f64 from two: 24 or 53 random bits as a number in [0, 1).
__device__ void four_units(uint64_t seed, uint64_t counter, int64_t block, float (&u)[4]) {
  const auto w = philox(seed, counter + static_cast<uint64_t>(block));
  for (int i = 0; i < 4; ++i) u[i] = static_cast<float>(w[i] >> 8) * 0x1p-24f;
}
__device__ void four_units(uint64_t seed, uint64_t counter, int64_t block, double (&u)[4]) {
  for (int half = 0; half < 2; ++half) {
    const auto w = philox(seed, counter + 2 * static_cast<uint64_t>(block) + half);
    for (int i = 0; i < 2; ++i)
      u[2 * half + i] = static_cast<double>((uint64_t{w[2 * i]} << 32 | w[2 * i + 1]) >> 11) * 0x1p-53;
  }
}

// Box and Muller; 1 - u is never 0. In f32 each function is f64's, rounded: so the radius is the CPU's, and
// what it is multiplied by within 1 ulp.
template <class T>
__device__ void normal_pair(T (&u)[4], int i) {
  const T log = static_cast<T>(::log(1.0 - u[i])), angle = T(2) * std::numbers::pi_v<T> * u[i + 1];
  const T radius = ::sqrt(T(-2) * log);
  u[i] = radius * static_cast<T>(::cos(double{angle}));
  u[i + 1] = radius * static_cast<T>(::sin(double{angle}));
}

// `steps`: how many numbers a sixteen-bit type tells apart below 1, since one of 24 bits might round up to 1;
// else 0.
template <class T>
__global__ void __launch_bounds__(kThreads)
    draw(RandomFn fn, double p, State state, T steps, const __grid_constant__ Space out) {
  take_turn();
  const uint64_t seed = state.words[0], counter = state.words[state.step];
  for_each_index((out.total + 3) / 4, [&](int64_t block) {
    T u[4];
    four_units(seed, counter, block, u);
    for (int i = 0; i < 4; ++i) {
      if (fn == RandomFn::normal && i % 2 == 0) normal_pair(u, i);
      if (fn == RandomFn::dropout) u[i] = u[i] < static_cast<T>(p) ? T(0) : static_cast<T>(1 / (1 - p));
      if (steps > 0) u[i] = ::floor(u[i] * steps) / steps;
      if (block * 4 + i >= out.total) break;
      int64_t at[1];
      locate(out, block * 4 + i, at);
      store<T>(out.operand[0], at[0], u[i]);
    }
  });
}

// After every block has read it.
__global__ void advance(State state, uint64_t used) {
  take_turn();
  if (threadIdx.x == 0) state.words[state.step] += used;
}

}  // namespace

void drive_random(Context& on, RandomFn fn, double p, const View& state, const View& out) {
  const Space space(out.shape, Views(&out, 1), {});
  const State words{state.as<uint64_t>(), state.strides[0]};
  const auto blocks = static_cast<uint64_t>((space.total + 3) / 4);
  if (blocks == 0) return;
  const bool narrow = fn == RandomFn::uniform && is_half(out.dtype);
  if (out.dtype == DType::f64)
    start(on, static_cast<int64_t>(blocks), draw<double>, fn, p, words, 0.0, space);
  else
    start(on, static_cast<int64_t>(blocks), draw<float>, fn, p, words,
          !narrow                   ? 0.0f
          : out.dtype == DType::f16 ? 0x1p11f
                                    : 0x1p8f,
          space);
  start(on, 1, advance, words, blocks * (out.dtype == DType::f64 ? 2 : 1));
}

}  // namespace varve::cuda
