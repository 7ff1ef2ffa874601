// Draws: test inputs from a seed, by ranges that keep away from kinks. The same seed gives the same inputs
// everywhere.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>

namespace varve::test {

// Numbers in [low, high], none within 0.05 of `kinks`; multiples of `grid` where ties are wanted.
struct Range {
  double low = -2, high = 2;
  std::vector<double> kinks = {};
  double grid = 0;
};

class Draws {
 public:
  explicit Draws(uint64_t seed) : engine_(seed) {}

  // Floating types: as the range says. Integers and bool: whole numbers within it that they can hold.
  Tensor numbers(const Shape& shape, DType dtype, const Range& range = {}) {
    std::vector<double> values(static_cast<size_t>(numel(shape)));
    for (double& v : values) v = is_floating(dtype) ? real(range) : whole(range, dtype);
    return cast(from_span(std::span<const double>(values), shape), dtype);
  }
  // i64 indices of an axis, half of them counted from its end.
  Tensor indices(const Shape& shape, int64_t size) {
    std::vector<int64_t> values(static_cast<size_t>(numel(shape)));
    for (int64_t& v : values) v = std::uniform_int_distribution<int64_t>(-size, size - 1)(engine_);
    return from_span(std::span<const int64_t>(values), shape);
  }
  // i64 numbers of so many classes.
  Tensor targets(const Shape& shape, int64_t classes) {
    std::vector<int64_t> values(static_cast<size_t>(numel(shape)));
    for (int64_t& v : values) v = std::uniform_int_distribution<int64_t>(0, classes - 1)(engine_);
    return from_span(std::span<const int64_t>(values), shape);
  }
  // A random generator's state.
  Tensor state() { return tensor<uint64_t>({engine_(), engine_() >> 32}); }

 private:
  double real(const Range& r) {
    for (;;) {
      double v = std::uniform_real_distribution<double>(r.low, r.high)(engine_);
      if (r.grid > 0) v = std::round(v / r.grid) * r.grid;
      bool clear = true;
      for (double kink : r.kinks) clear = clear && std::abs(v - kink) >= 0.05;
      if (clear) return v;
    }
  }
  double whole(const Range& r, DType dtype) {
    if (dtype == DType::boolean) return static_cast<double>(engine_() & 1);
    const double low = is_unsigned(dtype) ? std::max(r.low, 0.0) : r.low;
    return static_cast<double>(std::uniform_int_distribution<int64_t>(
        static_cast<int64_t>(std::ceil(low)), static_cast<int64_t>(std::floor(r.high)))(engine_));
  }

  std::mt19937_64 engine_;
};

}  // namespace varve::test
