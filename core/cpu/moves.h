// How elements of a factor come to lie as the sums read them: copied, or turned, a packet at a time.
#pragma once

#include <algorithm>

#include <varve/core/cpu/factors.h>

namespace varve::cpu {

template <class Factor>
struct Moves {
  using Stored = typename Factor::Stored;
  using Element = typename Factor::Element;
  static constexpr int64_t kLanes = Factor::kLanes, kTerms = Factor::kTerms;

  static int64_t elements(int64_t terms) { return (terms + kTerms - 1) / kTerms; }

  // The elements of one vector, whose inner is 1.
  static void copy_along(const Stored* from, int64_t terms, Element* to) {
    const int64_t whole = terms / kTerms / kLanes * kLanes;
    for (int64_t p = 0; p < whole; p += kLanes) Factor::store(to + p, Factor::along(from + p * kTerms));
    for (int64_t p = whole; p < elements(terms); ++p) to[p] = element(from, 1, p, terms);
  }
  // Element p of `count` vectors, whose along is 1.
  static void copy_across(const Stored* from, int64_t inner, int64_t p, int64_t terms, int64_t count,
                          Element* to) {
    const int64_t packed = count / kLanes * kLanes;
    const Stored* const row = from + p * kTerms * inner;
    for (int64_t i = 0; i < packed; i += kLanes)
      Factor::store(to + i, Factor::across(row + i, inner, is_whole(p, terms)));
    for (int64_t i = packed; i < count; ++i) to[i] = element(from + i, inner, p, terms);
  }
  // to[p][i] is element p of vector i, whose inner is 1.
  static void turn(const Stored* from, int64_t along, int64_t count, int64_t terms, Element* to,
                   int64_t to_rows) {
    const int64_t packed = count / kLanes * kLanes, whole = terms / kTerms / kLanes * kLanes;
    for (int64_t i = 0; i < packed; i += kLanes)
      for (int64_t p = 0; p < whole; p += kLanes)
        turn_square(from + i * along + p * kTerms, along, to + p * to_rows + i, to_rows);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t p = i < packed ? whole : 0; p < elements(terms); ++p)
        to[p * to_rows + i] = element(from + i * along, 1, p, terms);
  }

 private:
  static bool is_whole(int64_t p, int64_t terms) { return (p + 1) * kTerms <= terms; }
  static Element element(const Stored* vector, int64_t inner, int64_t p, int64_t terms) {
    return Factor::element(vector + p * kTerms * inner, inner, is_whole(p, terms));
  }
  static void turn_square(const Stored* from, int64_t along, Element* to, int64_t to_rows) {
    Eigen::internal::PacketBlock<typename Factor::Packet, kLanes> square;
    for (int64_t i = 0; i < kLanes; ++i) square.packet[i] = Factor::along(from + i * along);
    if constexpr (kLanes > 1) Eigen::internal::ptranspose(square);
    for (int64_t i = 0; i < kLanes; ++i) Factor::store(to + i * to_rows, square.packet[i]);
  }
};

}  // namespace varve::cpu
