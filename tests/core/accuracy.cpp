// How far functions of f32 are from the exact ones, on every instruction set: over all magnitudes, and number
// by number around the edges.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <varve/core/cpu/level.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>

using namespace varve;

namespace {

struct Function {
  const char* name;
  Tensor (*of)(const Tensor&);
  double (*exact)(double);
  double ulps;       // how far off it may be
  double least = 0;  // what is smaller counts as if it were of this size
};

const Function kFunctions[] = {
    {"exp", exp, std::exp, 2},
    {"log", log, std::log, 2},
    {"log1p", log1p, std::log1p, 3},
    {"sin", sin, std::sin, 3},
    {"cos", cos, std::cos, 3},
    {"tanh", tanh, std::tanh, 6},
    {"erf", erf, std::erf, 7, 0x1p-99},
    {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 3, 0x1p-104},
    {"sqrt", sqrt, std::sqrt, 0.5},
    {"abs", abs, std::abs, 0},
};

// Every 4093rd float from the smallest to the largest, of both signs, infinities and NaN; and 512 neighbours
// of each edge.
std::vector<float> sample() {
  std::vector<float> x{HUGE_VALF, std::nanf("")};
  for (uint32_t bits = 0; bits < 0x7f800000; bits += 4093) x.push_back(std::bit_cast<float>(bits));
  constexpr float kEdges[] = {0,      0x1p-126f, 0x1p-24f,      0.0004f,  1,        3.14159265f, 4,
                              7.905f, 7.9988f,   9.01f,         87.3365f, 88.3763f, 88.7228f,    103.972f,
                              25966,  117436,    3.40282347e38f};
  for (float edge : kEdges)
    for (uint32_t bits = std::bit_cast<uint32_t>(edge), i = 0; i < 512; ++i) {
      const uint32_t near = bits + i - (bits < 256 ? 0 : 256);
      if (near < 0x7f800000) x.push_back(std::bit_cast<float>(near));
    }
  const size_t half = x.size();
  for (size_t i = 0; i < half; ++i) x.push_back(-x[i]);
  return x;
}

// The error in units of the last place of f32; infinity counts as the number after the largest, and what
// would be denormal may be zero.
double ulps_between(float found, double exact, double least) {
  if (std::isnan(found) || std::isnan(exact)) return std::isnan(found) == std::isnan(exact) ? 0 : HUGE_VAL;
  if (std::signbit(found) != std::signbit(exact)) return HUGE_VAL;
  if (found == 0 && std::abs(exact) < 0x1p-126) return 0;
  const double a = std::min(std::abs(static_cast<double>(found)), 0x1p128),
               b = std::min(std::abs(exact), 0x1p128);
  return std::abs(a - b) / std::ldexp(1, std::ilogb(std::max({b, least, 0x1p-126})) - 23);
}

}  // namespace

TEST_CASE("functions of f32 are as near the exact ones as they say, on every instruction set") {
  const std::string before = cpu::level();
  const std::vector<float> x = sample();
  const Tensor in = from_span(std::span(x), {static_cast<int64_t>(x.size())});
  for (const Function& f : kFunctions) {
    std::vector<double> exact(x.size());
    std::transform(x.begin(), x.end(), exact.begin(), [&](float v) { return f.exact(v); });
    for (const std::string& level : cpu::levels()) {
      cpu::set_level(level);
      const Tensor y = f.of(in);
      size_t worst = 0;
      double most = -1;
      for (size_t i = 0; i < x.size(); ++i) {
        const double ulps = ulps_between(y.data<float>()[i], exact[i], f.least);
        if (ulps > most) most = ulps, worst = i;
      }
      CAPTURE(f.name);
      CAPTURE(level);
      CAPTURE(x[worst]);
      CHECK(most <= f.ulps);
    }
  }
  cpu::set_level(before);
}
