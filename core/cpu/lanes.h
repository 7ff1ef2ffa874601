// Lanes<T>: 64 bytes of numbers, whatever the machine's own width, as a number for the functions of
// core/pointwise.h.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numbers>
#include <unsupported/Eigen/SpecialFunctions>

#include <varve/core/pointwise.h>

namespace varve::cpu {

namespace pk = Eigen::internal;

template <class T>
struct Lanes;

// All bits set in the lanes where a comparison holds.
template <class T>
struct Mask {
  Lanes<T> bits;
  friend bool any(const Mask& m) {
    auto all = m.bits.p[0];
    for (int i = 1; i < Lanes<T>::kPackets; ++i) all = pk::por(all, m.bits.p[i]);
    return pk::predux_any(all);
  }
  friend Lanes<T> select(const Mask& m, const Lanes<T>& a, const Lanes<T>& b) {
    return map([](auto c, auto x, auto y) { return pk::pselect(c, x, y); }, m.bits, a, b);
  }
  // 0 where m holds.
  friend Lanes<T> unless(const Mask& m, const Lanes<T>& a) {
    return map([](auto c, auto x) { return pk::pandnot(x, c); }, m.bits, a);
  }
  friend Lanes<T> indicator(const Mask& m, const Lanes<T>&) {
    return map([](auto c, auto x) { return pk::pand(c, x); }, m.bits, Lanes<T>(1.0));
  }
};

template <class T>
struct Lanes {
  using Packet = typename pk::packet_traits<T>::type;
  using Has = pk::packet_traits<T>;
  static constexpr int kWidth = 64 / sizeof(T);
  static constexpr int kEach = pk::unpacket_traits<Packet>::size;
  static constexpr int kPackets = kWidth / kEach;
  Packet p[kPackets];

  Lanes() = default;
  Lanes(double value) {  // a constant in every lane
    for (auto& q : p) q = pk::pset1<Packet>(static_cast<T>(value));
  }
  static Lanes load(const T* from) {
    Lanes v;
    for (int i = 0; i < kPackets; ++i) v.p[i] = pk::ploadu<Packet>(from + i * kEach);
    return v;
  }
  void store(T* to) const {
    for (int i = 0; i < kPackets; ++i) pk::pstoreu(to + i * kEach, p[i]);
  }

  // f on each packet.
  template <class F, class... More>
  friend Lanes map(F f, const Lanes& a, const More&... more) {
    Lanes y;
    for (int i = 0; i < kPackets; ++i) y.p[i] = f(a.p[i], more.p[i]...);
    return y;
  }
  // f on each number, for functions that Eigen has no vector form of.
  template <class F>
  friend Lanes map_each(F f, const Lanes& a) {
    alignas(64) T x[kWidth];
    a.store(x);
    for (T& e : x) e = f(e);
    return load(x);
  }

  friend Lanes operator+(const Lanes& a, const Lanes& b) {
    return map([](auto x, auto y) { return pk::padd(x, y); }, a, b);
  }
  friend Lanes operator-(const Lanes& a, const Lanes& b) {
    return map([](auto x, auto y) { return pk::psub(x, y); }, a, b);
  }
  friend Lanes operator*(const Lanes& a, const Lanes& b) {
    return map([](auto x, auto y) { return pk::pmul(x, y); }, a, b);
  }
  friend Lanes operator/(const Lanes& a, const Lanes& b) {
    return map([](auto x, auto y) { return pk::pdiv(x, y); }, a, b);
  }
  friend Lanes operator-(const Lanes& a) {
    return map([](auto x) { return pk::pnegate(x); }, a);
  }

  friend Mask<T> operator==(const Lanes& a, const Lanes& b) {
    return {map([](auto x, auto y) { return pk::pcmp_eq(x, y); }, a, b)};
  }
  friend Mask<T> operator<(const Lanes& a, const Lanes& b) {
    return {map([](auto x, auto y) { return pk::pcmp_lt(x, y); }, a, b)};
  }
  friend Mask<T> operator<=(const Lanes& a, const Lanes& b) {
    return {map([](auto x, auto y) { return pk::pcmp_le(x, y); }, a, b)};
  }
  friend Mask<T> operator>(const Lanes& a, const Lanes& b) { return b < a; }
  friend Mask<T> operator>=(const Lanes& a, const Lanes& b) { return b <= a; }
  friend Mask<T> operator!=(const Lanes& a, const Lanes& b) {
    return {map([](auto x, auto y) { return pk::pandnot(pk::ptrue(x), pk::pcmp_eq(x, y)); }, a, b)};
  }

  friend Lanes maximum(const Lanes& a, const Lanes& b) {
    return map([](auto x, auto y) { return pk::pmax<Eigen::PropagateNaN>(x, y); }, a, b);
  }
  friend Lanes minimum(const Lanes& a, const Lanes& b) {
    return map([](auto x, auto y) { return pk::pmin<Eigen::PropagateNaN>(x, y); }, a, b);
  }
  friend Lanes abs(const Lanes& a) {
    return map([](auto x) { return pk::pabs(x); }, a);
  }
  // Eigen's own vector square root may be an approximation; this one is exact, and the compiler vectorises
  // it.
  friend Lanes sqrt(const Lanes& a) {
    return map_each([](T x) { return std::sqrt(x); }, a);
  }
  friend Lanes rsqrt(const Lanes& a) { return 1.0 / sqrt(a); }
  // exp(-inf) is exactly 0, as a masked softmax needs; Eigen's is a denormal, for it clamps its argument.
  friend Lanes exp(const Lanes& a) {
    if constexpr (!Has::HasExp)
      return map_each([](T x) { return std::exp(x); }, a);
    else if constexpr (sizeof(T) == 4)
      return exp_f32(a);
    else
      return unless(a < -709.78, map([](auto x) { return pk::pexp(x); }, a));
  }
  // Eigen takes a denormal for the smallest normal number: it is made one.
  friend Lanes log(const Lanes& a) {
    constexpr int kDigits = std::numeric_limits<T>::digits;
    const Mask<T> denormal = a < static_cast<double>(std::numeric_limits<T>::min());
    if (!any(denormal)) [[likely]]
      return log_of_normal(a);
    return log_of_normal(select(denormal, a * std::ldexp(1.0, kDigits), a)) -
           select(denormal, Lanes(kDigits * std::numbers::ln2), Lanes(0.0));
  }
  // log(u) x / (u - 1) with u the rounded 1 + x: the two roundings cancel (Kahan).
  friend Lanes log1p(const Lanes& x) {
    const Lanes u = 1.0 + x, plain = log_of_normal(u);
    return select(u == 1.0, x, select(u == plain, plain, plain * (x / (u - 1.0))));
  }
  friend Lanes sin(const Lanes& a) {
    if constexpr (Has::HasSin)
      return map([](auto x) { return pk::psin(x); }, a);
    else
      return map_each([](T x) { return std::sin(x); }, a);
  }
  friend Lanes cos(const Lanes& a) {
    if constexpr (Has::HasCos)
      return map([](auto x) { return pk::pcos(x); }, a);
    else
      return map_each([](T x) { return std::cos(x); }, a);
  }
  friend Lanes tanh(const Lanes& a) {
    if constexpr (Has::HasTanh)
      return map([](auto x) { return pk::ptanh(x); }, a);
    else
      return map_each([](T x) { return std::tanh(x); }, a);
  }
  friend Lanes erf(const Lanes& a) {
    if constexpr (Has::HasErf)
      return map([](auto x) { return pk::perf(x); }, a);
    else
      return map_each([](T x) { return std::erf(x); }, a);
  }
  friend Lanes pow(const Lanes& a, const Lanes& b) {
    alignas(64) T x[kWidth], y[kWidth];
    a.store(x);
    b.store(y);
    for (int i = 0; i < kWidth; ++i) x[i] = std::pow(x[i], y[i]);
    return load(x);
  }

 private:
  static Lanes multiply_add(const Lanes& a, const Lanes& b, const Lanes& c) {
    return map([](auto x, auto y, auto z) { return pk::pmadd(x, y, z); }, a, b, c);
  }

  static Lanes log_of_normal(const Lanes& a) {
    if constexpr (Has::HasLog)
      return map([](auto x) { return pk::plog(x); }, a);
    else
      return map_each([](T x) { return std::log(x); }, a);
  }

  // exp(x) = 2^m exp(r), m whole and r within ln 2 / 2 of 0, by the polynomial of Cephes. 2^m is two factors,
  // so that results reach from the smallest denormal to the largest number: at some levels Eigen's stop short
  // of both.
  static Lanes exp_f32(const Lanes& a) {
    constexpr double kWhole = 0x1.8p23;         // what is added to it becomes whole, and its last bits
    constexpr double kExponent = kWhole + 127;  // the same, and the last bits are an exponent's
    const Mask<T> vanishes = a < -103.98;
    const Lanes x = map([](auto v, auto high) { return pk::pmin(v, high); }, unless(vanishes, a),
                        Lanes(89.0));  // NaN stays
    const Lanes m = multiply_add(x, std::numbers::log2e, kWhole) - kWhole;
    const Lanes r = multiply_add(m, 2.12194440e-4, multiply_add(m, -0.693359375, x));
    const Lanes r2 = r * r;
    const Lanes high = multiply_add(multiply_add(1.9875691500e-4, r, 1.3981999507e-3), r, 8.3334519073e-3);
    const Lanes low = multiply_add(multiply_add(4.1665795894e-2, r, 1.6666665459e-1), r, 5.0000001201e-1);
    const Lanes y = multiply_add(multiply_add(high, r * r2, low), r2, r + 1.0);
    const Lanes half = multiply_add(m, 0.5, kExponent), rest = (m - (half - kExponent)) + kExponent;
    return unless(vanishes, y * power_of_two(half) * power_of_two(rest));
  }
  // 2^n for a lane that holds n + kExponent, n from -126 to 127: its last bits, moved to the exponent's
  // place.
  static Lanes power_of_two(const Lanes& biased) {
    using Bits = typename pk::unpacket_traits<Packet>::integer_packet;
    Lanes y;
    for (int i = 0; i < kPackets; ++i)
      y.p[i] = pk::preinterpret<Packet>(pk::plogical_shift_left<23>(pk::preinterpret<Bits>(biased.p[i])));
    return y;
  }
};

// The number a loop over T computes with: lanes where they exist, else T itself.
template <class T>
struct NumberOf {
  using type = T;
};
template <>
struct NumberOf<float> {
  using type = Lanes<float>;
};
template <>
struct NumberOf<double> {
  using type = Lanes<double>;
};
template <class T>
using Number = typename NumberOf<T>::type;

}  // namespace varve::cpu
