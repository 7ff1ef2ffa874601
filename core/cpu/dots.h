// Matrix products of few rows or few columns whose factors both have their sums contiguous: every element is
// a dot product of two vectors where they lie, nothing is packed. Summed by lanes, then over them, then the
// tail.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include <varve/core/cpu/factors.h>

namespace varve::cpu {

template <class Factor>
class Dots {
 public:
  using Stored = typename Factor::Stored;
  using Sum = typename Factor::Sum;
  using Side = cpu::Side<Stored>;

  static bool suits(int64_t m, int64_t n, int64_t k, Side a, Side b) {
    return a.inner == 1 && b.inner == 1 && std::min(m, n) < kLanes && k >= 2 * kStep &&
           k <= kMostTerms * kLanes;
  }
  static void run(int64_t m, int64_t n, int64_t k, Side a, Side b, Sum* c, int64_t c_rows) {
    const int64_t whole = n / kColumns, rest = n % kColumns;
    for (int64_t i = 0; i < m; i += kRows, a.data += kRows * a.along, c += kRows * c_rows) {
      const int64_t rows = std::min<int64_t>(kRows, m - i);
      strip(rows, kColumns)(whole, k, a, b, c, c_rows);
      if (rest != 0) strip(rows, rest)(1, k, a, b.at(whole * kColumns, 0), c + whole * kColumns, c_rows);
    }
  }

 private:
  using Packet = typename Factor::Packet;
  static constexpr int kLanes = Factor::kLanes, kStep = kLanes * Factor::kTerms;
  static constexpr int64_t kMostTerms = 4096;  // of one lane, one after the other: more would round too much
  static constexpr int kRows = 4, kColumns = kManyRegisters ? 4 : 2;

  // `count` tiles of kR rows by kC columns of c, side by side. Sums are named one by one, by index, so that
  // each gets a register. One call for a strip: between calls the loads of the next tile would have to wait.
  template <int kR, int kC>
  static void tiles(int64_t count, int64_t k, Side a, Side b, Sum* c, int64_t c_rows) {
    namespace ei = Eigen::internal;
    const int64_t whole = k / kStep * kStep;
    const auto tail = [&](const Stored* x, const Stored* y, Sum total) {
      for (int64_t p = whole; p < k; ++p) total += static_cast<Sum>(x[p]) * static_cast<Sum>(y[p]);
      return total;
    };
    const auto one = [&]<size_t... s, size_t... r>(std::index_sequence<s...>, std::index_sequence<r...>) {
      Packet sum[] = {((void)s, ei::pset1<Packet>(Sum(0)))...};
      for (int64_t p = 0; p < whole; p += kStep) {
        const Packet row[] = {Factor::along(a.data + r * a.along + p)...};
        ((sum[s] = Factor::multiply_add(Factor::along(b.data + s % kC * b.along + p), row[s / kC], sum[s])),
         ...);
      }
      ((c[s / kC * c_rows + s % kC] =
            tail(a.data + s / kC * a.along, b.data + s % kC * b.along, ei::predux(sum[s]))),
       ...);
    };
    for (; count > 0; --count, b.data += kC * b.along, c += kC)
      one(std::make_index_sequence<kR * kC>{}, std::make_index_sequence<kR>{});
  }
  using Strip = void (*)(int64_t, int64_t, Side, Side, Sum*, int64_t);
  static constexpr auto kStrips = []<size_t... t>(std::index_sequence<t...>) {
    return std::array<Strip, sizeof...(t)>{tiles<t / kColumns + 1, t % kColumns + 1>...};
  }
  (std::make_index_sequence<kRows * kColumns>{});
  static Strip strip(int64_t rows, int64_t columns) {
    return kStrips[static_cast<size_t>((rows - 1) * kColumns + columns - 1)];
  }
};

}  // namespace varve::cpu
