// Matrix products of one side packed into panels, a block at a time that stays in the second cache, and the
// other read where it lies, or gathered in strips that stay in the first. Every element is summed in the
// order of p, by blocks of kDepth terms that are added in order: which side is packed, how a product is cut
// and how its factors lie changes no bit.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <varve/core/cpu/side.h>

namespace varve::cpu {

template <class T>
class Packed {
 public:
  using Side = cpu::Side<T>;

  static size_t workspace(int64_t m, int64_t n, int64_t k) {
    const int64_t depth = std::min(k, kDepth);
    const int64_t b_block = packets(std::min(n, block_width(depth))) * kLanes * depth;
    const int64_t whole_a = m * k <= kMostPacked ? packets(m) * kLanes * k : 0;
    return sizeof(T) * static_cast<size_t>(kStage + strips_room(m, k) + std::max(b_block, whole_a));
  }
  // c [m, n] = a [m, k] b [k, n], rows of c at c_rows.
  static void run(int64_t m, int64_t n, int64_t k, Side a, Side b, T* c, int64_t c_rows, T* memory) {
    const Rooms room{memory, memory + kStage, memory + kStage + strips_room(m, k)};
    if (m <= kRows && b.along == 1) return in_place(m, n, k, a, b, c, c_rows, room);
    if (packs_a(m, n, k, a, b)) return by_columns(m, n, k, a, b, c, c_rows, room);
    const int64_t most = a.inner == 1 ? m : kMostStrips;
    for (int64_t i = 0; i < m; i += most)
      by_blocks(std::min(most, m - i), n, k, {a.data + i * a.along, a.along, a.inner}, b, c + i * c_rows,
                c_rows, room);
  }

 private:
  using Packet = cpu::Packet<T>;
  static constexpr int kLanes = kPacketLanes<T>;
  // Sums held in registers: kRows vectors of the side in place by kVectors packets of the packed one.
  static constexpr int kVectors = kManyRegisters ? 4 : 2, kRows = 6;
  static constexpr int64_t kWidth = kVectors * kLanes;
  static constexpr int64_t kBlock = 8 * kRows;  // vectors that are gathered or turned at a time: whole lines
  static constexpr int64_t kStage = kBlock * kWidth;
  static constexpr int64_t kMostPacked = (256 << 10) / sizeof(T), kDepth = 256, kMostStrips = 16 * kBlock;

  static int64_t block_width(int64_t depth) {
    return std::max(kWidth, kMostPacked / std::max<int64_t>(depth, 1) / kWidth * kWidth);
  }
  // Whether a is the side to pack, by what moves: packing copies whole packets, or turns them; a gathered
  // strip is short; the sums of a packed a come out as columns and must be turned.
  static bool packs_a(int64_t m, int64_t n, int64_t k, Side a, Side b) {
    if (m * k > kMostPacked || (b.inner != 1 && k > kDepth)) return false;
    constexpr int64_t kCopied = 1, kTurned = 2, kGathered = 6;
    const auto packed = [](Side x) { return x.along == 1 ? kCopied : kTurned; };
    const auto read = [](Side x) { return x.inner == 1 ? 0 : kGathered; };
    return m * k * packed(a) + n * k * read(b) + m * n * kTurned < n * k * packed(b) + m * k * read(a);
  }
  static int64_t strips_room(int64_t m, int64_t k) {
    return std::clamp((m + kRows - 1) / kRows * kRows, kBlock, kMostStrips) * std::min(k, kDepth);
  }
  struct Rooms {
    T *stage, *strips, *panels;
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
        copy(from, x.inner, k, valid, panel, width);
      for (int64_t p = 0; p < k && valid < width; ++p)
        std::fill_n(panel + p * width + valid, width - valid, T(0));
      panel += width * k;
    }
  }
  static void copy(const T* from, int64_t from_rows, int64_t rows, int64_t columns, T* to, int64_t to_rows) {
    const int64_t whole = columns / kLanes * kLanes;
    for (int64_t i = 0; i < rows; ++i, from += from_rows, to += to_rows) {
      for (int64_t j = 0; j < whole; j += kLanes)
        Eigen::internal::pstoreu(to + j, Eigen::internal::ploadu<Packet>(from + j));
      std::copy(from + whole, from + columns, to + whole);
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
      (ei::prefetch(c + s / kV * c_rows + s % kV * kLanes), ...);  // few terms end before their stores could
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

  // So few rows that to pack b would not pay; only what is not whole packets is.
  static void in_place(int64_t m, int64_t n, int64_t k, Side a, Side b, T* c, int64_t c_rows,
                       const Rooms& room) {
    for (int64_t j = 0; j < n; j += kWidth) {
      const int64_t width = std::min(kWidth, n - j);
      for (int64_t p = 0; p < k; p += kDepth) {
        const int64_t depth = std::min(kDepth, k - p);
        const Side block{b.data + j + p * b.inner, b.along, b.inner};
        Panel panel{block.data, block.inner};
        if (width % kLanes) {
          pack(block, width, depth, room.panels);
          panel = {room.panels, packets(width) * kLanes};
        }
        ragged_tile(m, width, depth, {a.data + p * a.inner, a.along, a.inner}, panel, c + j, c_rows, p > 0,
                    room.stage);
      }
    }
  }

  // `count` vectors of one side, kRows at a time from vector i on: where they lie, or gathered.
  struct Strips {
    Side first;
    int64_t step;
    Side at(int64_t i, int64_t p = 0) const {
      return {first.data + i * step + p * first.inner, first.along, first.inner};
    }
  };
  static Strips strips_of(Side x, int64_t count, int64_t depth, T* room) {
    if (x.inner == 1) return {x, x.along};
    for (int64_t from = 0; from < count; from += kBlock)
      gather({x.data + from, 1, x.inner}, std::min(kBlock, count - from), depth, room + from * depth);
    return {{room, 1, kRows}, depth};
  }
  static void gather(Side x, int64_t count, int64_t depth, T* to) {
    const int64_t whole = count / kRows * kRows;
    for (int64_t p = 0; p < depth; ++p) {
      const T* const from = x.data + p * x.inner;
      for (int64_t i = 0; i < whole; i += kRows)
        std::memcpy(to + i * depth + p * kRows, from + i, kRows * sizeof(T));
      for (int64_t i = whole; i < count; ++i) to[whole * depth + p * kRows + i - whole] = from[i];
    }
  }

  // b packed a block at a time.
  static void by_blocks(int64_t m, int64_t n, int64_t k, Side a, Side b, T* c, int64_t c_rows,
                        const Rooms& room) {
    for (int64_t p = 0; p < k; p += kDepth) {
      const int64_t depth = std::min(kDepth, k - p), most = block_width(depth);
      const Strips strips = strips_of({a.data + p * a.inner, a.along, a.inner}, m, depth, room.strips);
      for (int64_t j = 0; j < n; j += most) {
        const int64_t width = std::min(most, n - j);
        pack({b.data + j * b.along + p * b.inner, b.along, b.inner}, width, depth, room.panels);
        by_rows(m, width, depth, strips, c + j, c_rows, p > 0, room);
      }
    }
  }

  // A block of b packed: rows of a, a few at a time, by each panel.
  static void by_rows(int64_t m, int64_t n, int64_t depth, const Strips& a, T* c, int64_t c_rows, bool add,
                      const Rooms& room) {
    for (int64_t i = 0; i < m; i += kRows)
      for (int64_t j = 0; j < n; j += kWidth) {
        const int64_t width = std::min(kWidth, n - j);
        ragged_tile(std::min<int64_t>(kRows, m - i), width, depth, a.at(i),
                    {room.panels + j * depth, packets(width) * kLanes}, c + i * c_rows + j, c_rows, add,
                    room.stage);
      }
  }

  // All of a packed: columns of b where they lie, a few at a time, by each panel, turned into rows of c a
  // block at a time.
  static void by_columns(int64_t m, int64_t n, int64_t k, Side a, Side b, T* c, int64_t c_rows,
                         const Rooms& room) {
    pack(a, m, k, room.panels);
    for (int64_t j = 0; j < n; j += kBlock) {
      const int64_t columns = std::min(kBlock, n - j);
      const Strips strips = strips_of({b.data + j * b.along, b.along, b.inner}, columns, k, room.strips);
      for (int64_t i = 0; i < m; i += kWidth) {
        const int64_t width = std::min(kWidth, m - i), step = packets(width) * kLanes;
        for (int64_t p = 0; p < k; p += kDepth)
          for (int64_t q = 0; q < columns; q += kRows)
            tile(std::min<int64_t>(kRows, columns - q), packets(width), std::min(kDepth, k - p),
                 strips.at(q, p), {room.panels + i * k + p * step, step}, room.stage + q * kWidth, kWidth,
                 p > 0);
        turn(room.stage, kWidth, columns, width, c + i * c_rows + j, c_rows);
      }
    }
  }
};

}  // namespace varve::cpu
