// What the ways to a matrix product share: one factor as the sums see it, and the registers there are.
#pragma once

#include <Eigen/Core>
#include <cstdint>

namespace varve::cpu {

// Element p of vector i at i * along + p * inner.
template <class T>
struct Side {
  const T* data;
  int64_t along, inner;
};

template <class T>
using Packet = typename Eigen::internal::packet_traits<T>::type;
template <class T>
inline constexpr int kPacketLanes = Eigen::internal::unpacket_traits<Packet<T>>::size;
inline constexpr bool kManyRegisters = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32;

}  // namespace varve::cpu
