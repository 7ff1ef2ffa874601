// A few rows by a few packets of a matrix product, its sums in registers.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include <varve/core/cpu/factors.h>

namespace varve::cpu {

// Packets of the packed side, one for each p.
template <class T>
struct Panel {
  const T* data;
  int64_t step;  // from one p to the next
};

template <class Numbers>
class Tiles {
 public:
  using Element = typename Numbers::Element;
  using Sum = typename Numbers::Sum;
  static constexpr int kLanes = Numbers::kLanes;
  static constexpr int kRows = 6, kVectors = kManyRegisters ? 4 : 2;  // at most
  static constexpr int64_t kWidth = kVectors * kLanes;
  static int64_t packets(int64_t width) { return (width + kLanes - 1) / kLanes; }

  // c[r][..] = (c[r][..] +) sum over p < k of x[r][p] panel[p][..] for `rows` rows and `vectors` packets.
  static void run(int64_t rows, int64_t vectors, int64_t k, Side<Element> x, Panel<Element> panel, Sum* c,
                  int64_t c_rows, bool add) {
    static constexpr auto kTiles = []<size_t... t>(std::index_sequence<t...>) {
      return std::array<Tile, sizeof...(t)>{tile<t / kVectors + 1, t % kVectors + 1>...};
    }
    (std::make_index_sequence<kRows * kVectors>{});
    kTiles[static_cast<size_t>((rows - 1) * kVectors + vectors - 1)](k, x, panel, c, c_rows, add);
  }
  // The same for `width` columns, where the last packet may be wider than c; stage has room for a tile.
  static void run_ragged(int64_t rows, int64_t width, int64_t k, Side<Element> x, Panel<Element> panel,
                         Sum* c, int64_t c_rows, bool add, Sum* stage) {
    if (width % kLanes == 0) return run(rows, width / kLanes, k, x, panel, c, c_rows, add);
    run(rows, packets(width), k, x, panel, stage, kWidth, false);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t q = 0; q < width; ++q) {
        Sum& to = c[r * c_rows + q];
        to = add ? to + stage[r * kWidth + q] : stage[r * kWidth + q];
      }
  }

 private:
  using Tile = void (*)(int64_t, Side<Element>, Panel<Element>, Sum*, int64_t, bool);
  using Packet = typename Numbers::Packet;

  // Sums are named one by one, by index, so that each gets a register.
  template <int kR, int kV>
  static void tile(int64_t k, Side<Element> x, Panel<Element> panel, Sum* c, int64_t c_rows, bool add) {
    namespace ei = Eigen::internal;
    [&]<size_t... s, size_t... v>(std::index_sequence<s...>, std::index_sequence<v...>) {
      Packet sum[] = {((void)s, ei::pset1<Packet>(Sum(0)))...};
      (ei::prefetch(c + s / kV * c_rows + s % kV * kLanes), ...);  // few terms end before their stores could
      for (int64_t p = 0; p < k; ++p, panel.data += panel.step, x.data += x.inner) {
        const Packet row[] = {Numbers::load(panel.data + v * kLanes)...};
        ((sum[s] = Numbers::multiply_add(Numbers::broadcast(x.data + s / kV * x.along), row[s % kV], sum[s])),
         ...);
      }
      const auto store = [add](Sum* to, Packet y) {
        ei::pstoreu(to, add ? ei::padd(ei::ploadu<Packet>(to), y) : y);
      };
      (store(c + s / kV * c_rows + s % kV * kLanes, sum[s]), ...);
    }
    (std::make_index_sequence<kR * kV>{}, std::make_index_sequence<kV>{});
  }
};

}  // namespace varve::cpu
