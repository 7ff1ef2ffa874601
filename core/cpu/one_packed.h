// Matrix products that pack one side only: into panels that stay in the second cache, a block at a time,
// while the other is read where it lies, each element once for every panel. Summed in the order of k within a
// block.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include <varve/core/cpu/side.h>

namespace varve::cpu {

template <class T>
class OnePacked {
 public:
  using Side = cpu::Side<T>;

  // Whether it is the way to go: what is read in place, and more than once, must have its sums contiguous.
  static bool suits(int64_t m, int64_t n, int64_t k, Side a, Side b) {
    if (m <= kRows && b.along == 1) return true;
    if (k < kShortest) return false;
    return blocks_for(m, n, k).packs_b ? a.inner == 1 : b.inner == 1 || m <= kWidth;
  }
  static size_t workspace(int64_t m, int64_t n, int64_t k) {
    const Blocks to = blocks_for(m, n, k);
    return sizeof(T) * static_cast<size_t>(kStage + std::max(packets(to.width) * kLanes, kWidth) * to.k);
  }
  // c [m, n] = a [m, k] b [k, n], rows of c at c_rows.
  static void run(int64_t m, int64_t n, int64_t k, Side a, Side b, T* c, int64_t c_rows, T* memory) {
    const Blocks to = blocks_for(m, n, k);
    const Rooms room{memory, memory + kStage};
    if (m <= kRows && b.along == 1) return in_place(m, n, k, to.k, a, b, c, c_rows, room);
    if (!to.packs_b) {
      pack(a, m, k, room.panels);
      return by_columns(m, n, k, b, c, c_rows, room);
    }
    for (int64_t j = 0; j < n; j += to.width)
      for (int64_t p = 0; p < k; p += to.k) {
        const int64_t width = std::min(to.width, n - j), depth = std::min(to.k, k - p);
        pack({b.data + j * b.along + p * b.inner, b.along, b.inner}, width, depth, room.panels);
        by_rows(m, width, depth, {a.data + p * a.inner, a.along, a.inner}, c + j, c_rows, p > 0, room);
      }
  }

 private:
  using Packet = cpu::Packet<T>;
  static constexpr int kLanes = kPacketLanes<T>;
  // Sums held in registers: kRows vectors of the side in place by kVectors packets of the packed one.
  static constexpr int kVectors = kManyRegisters ? 4 : 2, kRows = 6;
  static constexpr int64_t kWidth = kVectors * kLanes;
  static constexpr int64_t kBlock = 8 * kRows;  // columns of c that are turned at a time
  static constexpr int64_t kStage = kBlock * kWidth;
  static constexpr int64_t kMostPacked = (256 << 10) / sizeof(T), kDepth = 256;
  static constexpr int64_t kShortest = 64;  // sums below take less time than their stores

  // Which side is packed, and how much of it at a time.
  struct Blocks {
    bool packs_b;
    int64_t width, k;
  };
  // b's panels are stored as they come; a's sums come out as columns, and must be turned: only where all of a
  // is little.
  static Blocks blocks_for(int64_t m, int64_t n, int64_t k) {
    if (k <= kDeepest && m * k <= kMostPacked && n * k > m * (k + n)) return {false, m, k};
    if (k <= kDeepest && n * k <= kMostPacked) return {true, n, k};
    const int64_t depth = std::min(k, kDepth);
    return {true, std::min(n, kMostPacked / depth / kWidth * kWidth), depth};
  }
  struct Rooms {
    T *stage, *panels;
  };
  static int64_t packets(int64_t width) { return (width + kLanes - 1) / kLanes; }

  // to[q][p] = from[p][q] for a square of packets.
  static void turn(const T* from, int64_t from_rows, T* to, int64_t to_rows) {
    Eigen::internal::PacketBlock<Packet, kLanes> square;
    for (int i = 0; i < kLanes; ++i) square.packet[i] = Eigen::internal::ploadu<Packet>(from + i * from_rows);
    if constexpr (kLanes > 1) Eigen::internal::ptranspose(square);
    for (int i = 0; i < kLanes; ++i) Eigen::internal::pstoreu(to + i * to_rows, square.packet[i]);
  }
  // The same for `rows` by `columns` of any size.
  static void turn(const T* from, int64_t from_rows, int64_t rows, int64_t columns, T* to, int64_t to_rows) {
    const int64_t whole_rows = rows / kLanes * kLanes, whole_columns = columns / kLanes * kLanes;
    for (int64_t i = 0; i < whole_rows; i += kLanes)
      for (int64_t j = 0; j < whole_columns; j += kLanes)
        turn(from + i * from_rows + j, from_rows, to + j * to_rows + i, to_rows);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j)
        to[j * to_rows + i] = from[i * from_rows + j];
  }

  // Panel after panel of kWidth vectors, in each [p][vector]; the last is as wide as whole packets need,
  // filled up with zeros.
  static void pack(Side x, int64_t count, int64_t k, T* panel) {
    for (int64_t i = 0; i < count; i += kWidth) {
      const int64_t valid = std::min(kWidth, count - i), width = packets(valid) * kLanes;
      const T* const from = x.data + i * x.along;
      if (x.inner == 1)
        turn(from, x.along, valid, k, panel, width);
      else
        for (int64_t p = 0; p < k; ++p) std::copy_n(from + p * x.inner, valid, panel + p * width);
      for (int64_t p = 0; p < k && valid < width; ++p)
        std::fill_n(panel + p * width + valid, width - valid, T(0));
      panel += width * k;
    }
  }

  struct Panel {
    const T* data;
    int64_t step;  // from one p to the next
  };
  // c[r][..] = (c[r][..] +) sum over p of x[r][p] panel[p][..] for kR rows and kV packets. Sums are named one
  // by one, by index, so that each gets a register.
  template <int kR, int kV>
  static void tile(int64_t k, Side x, Panel panel, T* c, int64_t c_rows, bool add) {
    namespace ei = Eigen::internal;
    [&]<size_t... s, size_t... v>(std::index_sequence<s...>, std::index_sequence<v...>) {
      Packet sum[] = {((void)s, ei::pset1<Packet>(T(0)))...};
      for (int64_t p = 0; p < k; ++p, panel.data += panel.step, x.data += x.inner) {
        const Packet row[] = {ei::ploadu<Packet>(panel.data + v * kLanes)...};
        ((sum[s] = ei::pmadd(ei::pset1<Packet>(x.data[s / kV * x.along]), row[s % kV], sum[s])), ...);
      }
      const auto store = [add](T* to, Packet y) {
        ei::pstoreu(to, add ? ei::padd(ei::ploadu<Packet>(to), y) : y);
      };
      (store(c + s / kV * c_rows + s % kV * kLanes, sum[s]), ...);
    }
    (std::make_index_sequence<kR * kV>{}, std::make_index_sequence<kV>{});
  }
  static void tile(int64_t rows, int64_t vectors, int64_t k, Side x, Panel panel, T* c, int64_t c_rows,
                   bool add) {
    using Tile = void (*)(int64_t, Side, Panel, T*, int64_t, bool);
    static constexpr auto kTiles = []<size_t... t>(std::index_sequence<t...>) {
      return std::array<Tile, sizeof...(t)>{tile<t / kVectors + 1, t % kVectors + 1>...};
    }
    (std::make_index_sequence<kRows * kVectors>{});
    kTiles[static_cast<size_t>((rows - 1) * kVectors + vectors - 1)](k, x, panel, c, c_rows, add);
  }
  // The same where the last packet may be wider than c.
  static void ragged_tile(int64_t rows, int64_t width, int64_t k, Side x, Panel panel, T* c, int64_t c_rows,
                          bool add, T* stage) {
    if (width % kLanes == 0) return tile(rows, width / kLanes, k, x, panel, c, c_rows, add);
    tile(rows, packets(width), k, x, panel, stage, kWidth, false);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t q = 0; q < width; ++q) {
        T& to = c[r * c_rows + q];
        to = add ? to + stage[r * kWidth + q] : stage[r * kWidth + q];
      }
  }

  // So few rows that to pack b would not pay; only what is not whole packets is, `depth` terms at a time.
  static void in_place(int64_t m, int64_t n, int64_t k, int64_t depth, Side a, Side b, T* c, int64_t c_rows,
                       const Rooms& room) {
    for (int64_t j = 0; j < n; j += kWidth) {
      const int64_t width = std::min(kWidth, n - j);
      for (int64_t p = 0; p < k; p += depth) {
        const int64_t terms = std::min(depth, k - p);
        const Side block{b.data + j + p * b.inner, b.along, b.inner};
        Panel panel{block.data, block.inner};
        if (width % kLanes) {
          pack(block, width, terms, room.panels);
          panel = {room.panels, packets(width) * kLanes};
        }
        ragged_tile(m, width, terms, {a.data + p * a.inner, a.along, a.inner}, panel, c + j, c_rows, p > 0,
                    room.stage);
      }
    }
  }

  // b packed: rows of a, a few at a time, by each panel.
  static void by_rows(int64_t m, int64_t n, int64_t k, Side a, T* c, int64_t c_rows, bool add,
                      const Rooms& room) {
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t rows = std::min<int64_t>(kRows, m - i);
      for (int64_t j = 0; j < n; j += kWidth) {
        const int64_t width = std::min(kWidth, n - j);
        ragged_tile(rows, width, k, {a.data + i * a.along, a.along, a.inner},
                    {room.panels + j * k, packets(width) * kLanes}, c + i * c_rows + j, c_rows, add,
                    room.stage);
      }
    }
  }

  // a packed: columns of b, a few at a time, by each panel, turned into rows of c a block at a time.
  static void by_columns(int64_t m, int64_t n, int64_t k, Side b, T* c, int64_t c_rows, const Rooms& room) {
    for (int64_t j = 0; j < n; j += kBlock) {
      const int64_t columns = std::min(kBlock, n - j);
      for (int64_t i = 0; i < m; i += kWidth) {
        const int64_t width = std::min(kWidth, m - i), vectors = packets(width);
        for (int64_t q = 0; q < columns; q += kRows) {
          const int64_t count = std::min<int64_t>(kRows, columns - q);
          tile(count, vectors, k, {b.data + (j + q) * b.along, b.along, b.inner},
               {room.panels + i * k, vectors * kLanes}, room.stage + q * kWidth, kWidth, false);
        }
        turn(room.stage, kWidth, columns, width, c + i * c_rows + j, c_rows);
      }
    }
  }
};

}  // namespace varve::cpu
