// How the factors of a matrix product lie in memory, and as what its sums take them: what the ways to a
// product are templates over.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <varve/core/dtype.h>

namespace varve::cpu {

inline constexpr bool kManyRegisters = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32;

// Term p of vector i at i * along + p * inner.
template <class T>
struct Side {
  const T* data;
  int64_t along, inner;
  Side at(int64_t i, int64_t p) const { return {data + i * along + p * inner, along, inner}; }
};

// A factor of T as it is: an element, what a lane multiplies at a time, is one term.
template <class T>
struct AsIs {
  using Stored = T;
  using Element = T;
  using Sum = T;
  using Arithmetic = AsIs;  // what only sees elements
  using Packet = typename Eigen::internal::packet_traits<T>::type;
  static constexpr int kLanes = Eigen::internal::unpacket_traits<Packet>::size;
  static constexpr int kTerms = 1;         // of an element
  static constexpr bool kReadable = true;  // where it lies

  static Packet load(const T* from) { return Eigen::internal::ploadu<Packet>(from); }
  static void store(T* to, Packet x) { Eigen::internal::pstoreu(to, x); }
  static Packet broadcast(const T* from) { return Eigen::internal::pset1<Packet>(*from); }
  static Packet multiply_add(Packet a, Packet b, Packet sum) { return Eigen::internal::pmadd(a, b, sum); }

  // kLanes elements of one vector, whose inner is 1; and of as many vectors, whose along is 1, one element
  // each. An element that is not whole ends a vector: what it lacks is zero.
  static Packet along(const T* from) { return load(from); }
  static Packet across(const T* from, int64_t /*inner*/, bool /*whole*/) { return load(from); }
  static T element(const T* from, int64_t /*inner*/, bool /*whole*/) { return *from; }
  // The elements where they lie, if they can be read there.
  static std::optional<Side<T>> in_place(Side<T> x, int64_t /*terms*/) {
    return x.inner == 1 ? std::optional(x) : std::nullopt;
  }
};

// A factor of f16 or bf16 whose terms become f32 on the way.
template <class T>
struct Widened : AsIs<float> {
  using Stored = T;
  static constexpr bool kReadable = std::is_same_v<T, BFloat16>;

  static Packet along(const T* from) {
    alignas(64) float wide[kLanes];
    for (int i = 0; i < kLanes; ++i) wide[i] = static_cast<float>(from[i]);
    return load(wide);
  }
  static Packet across(const T* from, int64_t /*inner*/, bool /*whole*/) { return along(from); }
  static float element(const T* from, int64_t /*inner*/, bool /*whole*/) { return static_cast<float>(*from); }
  static std::optional<Side<float>> in_place(Side<T>, int64_t /*terms*/) { return std::nullopt; }
};

}  // namespace varve::cpu
