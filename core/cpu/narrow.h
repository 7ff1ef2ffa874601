// Matrix products in which one side is small: that side is packed once into panels that stay in the second
// cache, and the other is read where it lies, each element once for every panel. Summed in the order of k.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <utility>

#include <varve/core/cpu/kernels.h>

namespace varve::cpu {

template <class T>
class Narrow {
 public:
  // One factor as the sums see it: element p of vector i at i * along + p * inner.
  struct Side {
    const T* data;
    int64_t along, inner;
  };

  // Whether products of this size are for it; else the packed blocks of a large product pay.
  static bool suits(int64_t m, int64_t n, int64_t k) {
    return std::min(n, m) * k * static_cast<int64_t>(sizeof(T)) <= kMostPacked;
  }
  static size_t workspace(int64_t m, int64_t n, int64_t k) {
    const int64_t packed = packs_b(m, n, k) ? n : m;
    return sizeof(T) * static_cast<size_t>((packed + kWidth) * k + kBlock * kWidth);
  }
  // c [m, n] = a [m, k] b [k, n], rows of c at c_rows.
  static void run(int64_t m, int64_t n, int64_t k, Side a, Side b, T* c, int64_t c_rows, T* memory) {
    T* const stage = memory;
    T* const panels = memory + kBlock * kWidth;
    if (packs_b(m, n, k)) {
      pack(b, n, k, panels);
      by_rows(m, n, k, a, panels, c, c_rows, stage);
    } else {
      pack(a, m, k, panels);
      by_columns(m, n, k, panels, b, c, c_rows, stage);
    }
  }

 private:
  using Packet = typename Eigen::internal::packet_traits<T>::type;
  static constexpr int kLanes = Eigen::internal::unpacket_traits<Packet>::size;
  // Sums held in registers: kRows vectors of the side in place by kVectors packets of the packed one.
  static constexpr int kVectors = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 4 : 2, kRows = 6;
  static constexpr int64_t kWidth = kVectors * kLanes;
  static constexpr int64_t kBlock = 8 * kRows;  // columns of c that are turned at a time
  static constexpr int64_t kMostPacked = 256 << 10;

  // b's panels can be stored as they come; a's sums come out as columns, and must be turned.
  static bool packs_b(int64_t m, int64_t n, int64_t k) { return n * k <= m * (k + n); }
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

  // c[r][..] = sum over p of x[r][p] panel[p][..] for kR rows and kV packets. Sums are named one by one, by
  // index, so that each gets a register.
  template <int kR, int kV>
  static void tile(int64_t k, Side x, const T* panel, T* c, int64_t c_rows) {
    namespace ei = Eigen::internal;
    [&]<size_t... s, size_t... v>(std::index_sequence<s...>, std::index_sequence<v...>) {
      Packet sum[] = {((void)s, ei::pset1<Packet>(T(0)))...};
      for (int64_t p = 0; p < k; ++p, panel += kV * kLanes, x.data += x.inner) {
        const Packet row[] = {ei::pload<Packet>(panel + v * kLanes)...};
        ((sum[s] = ei::pmadd(ei::pset1<Packet>(x.data[s / kV * x.along]), row[s % kV], sum[s])), ...);
      }
      (ei::pstoreu(c + s / kV * c_rows + s % kV * kLanes, sum[s]), ...);
    }
    (std::make_index_sequence<kR * kV>{}, std::make_index_sequence<kV>{});
  }
  static void tile(int64_t rows, int64_t vectors, int64_t k, Side x, const T* panel, T* c, int64_t c_rows) {
    using Tile = void (*)(int64_t, Side, const T*, T*, int64_t);
    static constexpr auto kTiles = []<size_t... t>(std::index_sequence<t...>) {
      return std::array<Tile, sizeof...(t)>{tile<t / kVectors + 1, t % kVectors + 1>...};
    }
    (std::make_index_sequence<kRows * kVectors>{});
    kTiles[static_cast<size_t>((rows - 1) * kVectors + vectors - 1)](k, x, panel, c, c_rows);
  }

  // b packed: rows of a, a few at a time, by each panel.
  static void by_rows(int64_t m, int64_t n, int64_t k, Side a, const T* panels, T* c, int64_t c_rows,
                      T* stage) {
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t rows = std::min<int64_t>(kRows, m - i);
      const Side x{a.data + i * a.along, a.along, a.inner};
      for (int64_t j = 0; j < n; j += kWidth) {
        const int64_t width = std::min(kWidth, n - j), vectors = packets(width);
        T* const y = c + i * c_rows + j;
        const bool whole = width == vectors * kLanes;
        tile(rows, vectors, k, x, panels + j * k, whole ? y : stage, whole ? c_rows : kWidth);
        for (int64_t r = 0; r < rows && !whole; ++r) std::copy_n(stage + r * kWidth, width, y + r * c_rows);
      }
    }
  }

  // a packed: columns of b, a few at a time, by each panel, turned into rows of c a block at a time.
  static void by_columns(int64_t m, int64_t n, int64_t k, const T* panels, Side b, T* c, int64_t c_rows,
                         T* stage) {
    for (int64_t j = 0; j < n; j += kBlock) {
      const int64_t columns = std::min(kBlock, n - j);
      for (int64_t i = 0; i < m; i += kWidth) {
        const int64_t width = std::min(kWidth, m - i), vectors = packets(width);
        for (int64_t q = 0; q < columns; q += kRows)
          tile(std::min<int64_t>(kRows, columns - q), vectors, k,
               {b.data + (j + q) * b.along, b.along, b.inner}, panels + i * k, stage + q * kWidth, kWidth);
        turn(stage, kWidth, columns, width, c + i * c_rows + j, c_rows);
      }
    }
  }
};

}  // namespace varve::cpu
