// Names and sizes of the dtypes, and every half and bfloat16 there is, against conversions done the long way.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <varve/core/dtype.h>
#include <varve/core/error.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>

using namespace varve;

namespace {

// The value of a small float by its definition: sign, exponent, fraction.
double decoded(uint32_t bits, int exponent_bits, int fraction_bits) {
  const uint32_t fraction = bits & ((1u << fraction_bits) - 1);
  const uint32_t exponent = (bits >> fraction_bits) & ((1u << exponent_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits >> (exponent_bits + fraction_bits)) ? -1 : 1;
  if (exponent == (1u << exponent_bits) - 1) return fraction ? NAN : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign *
         std::ldexp(fraction + (1u << fraction_bits), static_cast<int>(exponent) - bias - fraction_bits);
}

// The nearest of the 65,536 to x, ties to the even one, found between its neighbours; overflow past half a
// step.
uint16_t nearest(double x, int exponent_bits, int fraction_bits) {
  const auto sign = static_cast<uint16_t>(std::signbit(x) ? 0x8000 : 0);
  const auto infinity = static_cast<uint16_t>(((1u << exponent_bits) - 1) << fraction_bits);
  uint16_t low = 0, high = infinity;  // magnitudes are ordered like their bits
  const double magnitude = std::abs(x);
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (decoded(middle, exponent_bits, fraction_bits) <= magnitude ? low : high) = middle;
  }
  const double below = decoded(low, exponent_bits, fraction_bits);
  const double step = low + 1 == infinity
                          ? below - decoded(static_cast<uint16_t>(low - 1), exponent_bits, fraction_bits)
                          : decoded(high, exponent_bits, fraction_bits) - below;
  const double rest = magnitude - below;
  const bool up = rest > step / 2 || (rest == step / 2 && (low & 1));
  return static_cast<uint16_t>(sign | (up ? high : low));
}

template <class T>
void check_all_patterns(int exponent_bits, int fraction_bits) {
  int wrong_value = 0, wrong_trip = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    T x;
    x.bits = static_cast<uint16_t>(bits);
    const float value = x;
    const double expected = decoded(bits, exponent_bits, fraction_bits);
    if (std::isnan(expected)) {
      wrong_value += !std::isnan(value);
      wrong_trip += !std::isnan(static_cast<float>(T(value)));
      continue;
    }
    wrong_value += static_cast<double>(value) != expected || std::signbit(value) != std::signbit(expected);
    wrong_trip += T(value).bits != bits;
  }
  CHECK(wrong_value == 0);
  CHECK(wrong_trip == 0);
}

// Around every pattern: the value, the midpoint to the next, and the floats beside it.
template <class T>
void check_rounding(int exponent_bits, int fraction_bits) {
  int wrong = 0;
  const auto check = [&](float x) { wrong += T(x).bits != nearest(x, exponent_bits, fraction_bits); };
  const uint32_t infinity = ((1u << exponent_bits) - 1) << fraction_bits;
  for (uint32_t bits = 0; bits < infinity; ++bits) {
    const double a = decoded(bits, exponent_bits, fraction_bits);
    const double b = bits + 1 == infinity ? 2 * a - decoded(bits - 1, exponent_bits, fraction_bits)
                                          : decoded(bits + 1, exponent_bits, fraction_bits);
    const auto middle = static_cast<float>((a + b) / 2);
    for (float x :
         {static_cast<float>(a), middle, std::nextafter(middle, 0.0f), std::nextafter(middle, HUGE_VALF)})
      if (std::isfinite(x)) check(x), check(-x);
  }
  std::mt19937 engine(1);
  for (int i = 0; i < 200000; ++i) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(engine()));
    if (std::isfinite(x)) check(x);
  }
  CHECK(wrong == 0);
  CHECK(T(HUGE_VALF).bits == infinity);
  CHECK(T(-HUGE_VALF).bits == (infinity | 0x8000));
}

// Beside every midpoint, nearer to it than a float can be (or, for whole numbers, a double): rounded on the
// way, x would land on the tie and then go to the even side. Cast, and written as an element.
template <class T>
void check_single_rounding(int exponent_bits, int fraction_bits) {
  std::vector<double> x;
  std::vector<int64_t> whole;
  std::vector<uint16_t> x_nearest, whole_nearest;
  const uint32_t infinity = ((1u << exponent_bits) - 1) << fraction_bits;
  for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
    const double a = decoded(bits, exponent_bits, fraction_bits),
                 b = decoded(bits + 1, exponent_bits, fraction_bits), middle = (a + b) / 2;
    for (double beside : {std::nextafter(middle, 0), middle, std::nextafter(middle, HUGE_VAL)})
      for (double v : {beside, -beside})
        x.push_back(v), x_nearest.push_back(nearest(v, exponent_bits, fraction_bits));
    if (middle < 0x1p24 || middle >= 0x1p62) continue;
    for (int64_t step : {-1, 0, 1})
      for (int64_t sign : {-1, 1}) {
        whole.push_back(sign * (static_cast<int64_t>(middle) + step));
        const double side = step < 0 ? a : step > 0 ? b : middle;
        whole_nearest.push_back(nearest(static_cast<double>(sign) * side, exponent_bits, fraction_bits));
      }
  }
  const auto count_wrong = [](const auto& from, const std::vector<uint16_t>& expected) {
    const Tensor y = cast(from_span(std::span(from), {static_cast<int64_t>(from.size())}), dtype_of<T>);
    size_t wrong = 0;
    for (size_t i = 0; i < expected.size(); ++i) wrong += y.data<T>()[i].bits != expected[i];
    return wrong;
  };
  CHECK(count_wrong(x, x_nearest) == 0);
  CHECK(count_wrong(whole, whole_nearest) == 0);
  size_t wrong = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    T written;
    write_element(dtype_of<T>, x[i], &written);
    wrong += written.bits != x_nearest[i];
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("every half converts to the float it stands for, and back") { check_all_patterns<Half>(5, 10); }
TEST_CASE("every bfloat16 converts to the float it stands for, and back") {
  check_all_patterns<BFloat16>(8, 7);
}
TEST_CASE("a float becomes the nearest half, ties to even") { check_rounding<Half>(5, 10); }
TEST_CASE("a float becomes the nearest bfloat16, ties to even") { check_rounding<BFloat16>(8, 7); }

TEST_CASE("cast converts all halves as the scalar conversion does") {
  std::vector<Half> all(65536);
  for (uint32_t i = 0; i < 65536; ++i) all[i].bits = static_cast<uint16_t>(i);
  const Tensor wide = cast(borrow(std::span(all), {65536}), DType::f32), back = cast(wide, DType::f16);
  int wrong = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const float value = all[i];
    if (std::isnan(value)) continue;
    wrong += wide.data<float>()[i] != value || back.data<Half>()[i].bits != all[i].bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("f64 and whole numbers become the nearest half and bfloat16 in one rounding") {
  check_single_rounding<Half>(5, 10);
  check_single_rounding<BFloat16>(8, 7);
}

TEST_CASE("float to integer truncates, saturates, and takes NaN to 0") {
  const Tensor x = tensor<double>({1.9, -1.9, 1e30, -1e30, NAN, HUGE_VAL, -HUGE_VAL, 300});
  const auto row = [&](DType d) {
    const Tensor y = cast(cast(x, d), DType::f64);
    return std::vector<double>(y.data<double>().begin(), y.data<double>().end());
  };
  CHECK(row(DType::i8) == std::vector<double>{1, -1, 127, -128, 0, 127, -128, 127});
  CHECK(row(DType::u8) == std::vector<double>{1, 0, 255, 0, 0, 255, 0, 255});
  CHECK(row(DType::i32) ==
        std::vector<double>{1, -1, 2147483647.0, -2147483648.0, 0, 2147483647.0, -2147483648.0, 300});
  const Tensor wide = cast(x, DType::i64);
  CHECK(wide.data<int64_t>()[2] == std::numeric_limits<int64_t>::max());
  CHECK(wide.data<int64_t>()[3] == std::numeric_limits<int64_t>::min());
  CHECK(cast(x, DType::u64)[2].item<uint64_t>() == std::numeric_limits<uint64_t>::max());
  CHECK(row(DType::boolean) == std::vector<double>{1, 1, 1, 1, 1, 1, 1, 1});
}

TEST_CASE("a number written as an element converts as cast does") {
  for (double v : {0.0, 1.9, -1.9, 1e30, -1e30, std::nan(""), HUGE_VAL, -HUGE_VAL, 255.0, 256.0, 0x1p63,
                   -0x1p63, 0x1p64})
    for (size_t d = 0; d < kDTypes; ++d) {
      const auto dtype = static_cast<DType>(d);
      CAPTURE(v);
      CAPTURE(name_of(dtype));
      std::byte written[8] = {}, converted[8] = {};
      write_element(dtype, v, written);
      const Tensor y = cast(tensor<double>({v}), dtype);
      std::memcpy(converted, y.view().data, size_of(dtype));
      if (is_floating(dtype) && std::isnan(v)) continue;  // any NaN will do
      CHECK(std::equal(written, written + 8, converted));
    }
}

TEST_CASE("names and sizes of dtypes go both ways") {
  for (size_t d = 0; d < kDTypes; ++d) {
    const auto dtype = static_cast<DType>(d);
    CHECK(dtype_named(name_of(dtype)) == dtype);
    dispatch(dtype, [&]<class T>() {
      CHECK(dtype_of<T> == dtype);
      CHECK(sizeof(T) == size_of(dtype));
      if constexpr (std::is_integral_v<T>) CHECK(is_unsigned(dtype) == std::is_unsigned_v<T>);
    });
  }
  CHECK_THROWS_AS(dtype_named("float"), DTypeError);
}
