// Matrix products of few rows or few columns whose factors both have their sums contiguous: every element is
// a dot product of two vectors where they lie, nothing is packed. Summed by lanes, then over them, then the
// tail.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include <varve/core/cpu/side.h>

namespace varve::cpu {

template <class T>
class Dots {
 public:
  using Side = cpu::Side<T>;

  static bool suits(int64_t m, int64_t n, int64_t k, Side a, Side b) {
    return a.inner == 1 && b.inner == 1 && std::min(m, n) < kLanes && k >= 2 * kLanes &&
           k <= kMostTerms * kLanes;
  }
  static void run(int64_t m, int64_t n, int64_t k, Side a, Side b, T* c, int64_t c_rows) {
    for (int64_t i = 0; i < m; i += kRows)
      for (int64_t j = 0; j < n; j += kColumns) {
        const int64_t rows = std::min<int64_t>(kRows, m - i), columns = std::min<int64_t>(kColumns, n - j);
        kTiles[static_cast<size_t>((rows - 1) * kColumns + columns - 1)](
            k, {a.data + i * a.along, a.along, 1}, {b.data + j * b.along, b.along, 1}, c + i * c_rows + j,
            c_rows);
      }
  }

 private:
  using Packet = cpu::Packet<T>;
  static constexpr int kLanes = kPacketLanes<T>;
  static constexpr int64_t kMostTerms = 4096;  // of one lane, one after the other: more would round too much
  static constexpr int kRows = 4, kColumns = kManyRegisters ? 4 : 2;

  // kR rows by kC columns of c. Sums are named one by one, by index, so that each gets a register.
  template <int kR, int kC>
  static void tile(int64_t k, Side a, Side b, T* c, int64_t c_rows) {
    namespace ei = Eigen::internal;
    const int64_t whole = k / kLanes * kLanes;
    [&]<size_t... s, size_t... r>(std::index_sequence<s...>, std::index_sequence<r...>) {
      Packet sum[] = {((void)s, ei::pset1<Packet>(T(0)))...};
      for (int64_t p = 0; p < whole; p += kLanes) {
        const Packet row[] = {ei::ploadu<Packet>(a.data + r * a.along + p)...};
        ((sum[s] = ei::pmadd(ei::ploadu<Packet>(b.data + s % kC * b.along + p), row[s / kC], sum[s])), ...);
      }
      const auto tail = [&](const T* x, const T* y, T total) {
        for (int64_t p = whole; p < k; ++p) total += x[p] * y[p];
        return total;
      };
      ((c[s / kC * c_rows + s % kC] =
            tail(a.data + s / kC * a.along, b.data + s % kC * b.along, ei::predux(sum[s]))),
       ...);
    }
    (std::make_index_sequence<kR * kC>{}, std::make_index_sequence<kR>{});
  }
  using Tile = void (*)(int64_t, Side, Side, T*, int64_t);
  static constexpr auto kTiles = []<size_t... t>(std::index_sequence<t...>) {
    return std::array<Tile, sizeof...(t)>{tile<t / kColumns + 1, t % kColumns + 1>...};
  }
  (std::make_index_sequence<kRows * kColumns>{});
};

}  // namespace varve::cpu
