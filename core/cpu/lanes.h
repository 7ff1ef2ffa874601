// Lanes<T>: 64 bytes of numbers, whatever the machine's own width, as a number for the functions of
// core/pointwise.h.
#pragma once

#include <Eigen/Core>
#include <cmath>
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
  friend Lanes<T> select(const Mask& m, const Lanes<T>& a, const Lanes<T>& b) {
    return map([](auto c, auto x, auto y) { return pk::pselect(c, x, y); }, m.bits, a, b);
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
  // Eigen clamps its argument, so that exp(-inf) would be the smallest number; a masked -inf must give
  // exactly 0.
  friend Lanes exp(const Lanes& a) {
    constexpr double kLowest = sizeof(T) == 8 ? -709.78 : -88.37;
    if constexpr (Has::HasExp)
      return select(a < kLowest, Lanes(0.0), map([](auto x) { return pk::pexp(x); }, a));
    else
      return map_each([](T x) { return std::exp(x); }, a);
  }
  friend Lanes log(const Lanes& a) {
    if constexpr (Has::HasLog)
      return map([](auto x) { return pk::plog(x); }, a);
    else
      return map_each([](T x) { return std::log(x); }, a);
  }
  // log(u) x / (u - 1) with u the rounded 1 + x: the two roundings cancel (Kahan).
  friend Lanes log1p(const Lanes& x) {
    const Lanes u = 1.0 + x, plain = log(u);
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
