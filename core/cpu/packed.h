// Matrix products of one side packed into panels, a block at a time that stays in the second cache, and the
// other read where it lies, or gathered in strips that stay in the first. Every element is summed in the
// order of p, by blocks of kDepth elements that are added in order: which side is packed, how a product is
// cut and how its factors lie changes no bit.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <varve/core/cpu/moves.h>
#include <varve/core/cpu/tiles.h>

namespace varve::cpu {

template <class Factor>
class Packed {
 public:
  using Stored = typename Factor::Stored;
  using Element = typename Factor::Element;
  using Sum = typename Factor::Sum;

  // k counts terms, here and in run.
  static size_t workspace(int64_t m, int64_t n, int64_t k) {
    const int64_t all = Moves::elements(k), depth = std::min(all, kDepth);
    const int64_t b_block = packets(std::min(n, block_width(depth))) * kLanes * depth;
    const int64_t whole_a = m * all <= kMostPacked ? packets(m) * kLanes * all : 0;
    return sizeof(Sum) * static_cast<size_t>(kStage) +
           sizeof(Element) * static_cast<size_t>(strips_room(m, all) + std::max(b_block, whole_a));
  }
  // c [m, n] = a [m, k] b [k, n], rows of c at c_rows.
  static void run(int64_t m, int64_t n, int64_t k, Side<Stored> a, Side<Stored> b, Sum* c, int64_t c_rows,
                  void* memory) {
    Sum* const stage = static_cast<Sum*>(memory);
    Element* const strips = static_cast<Element*>(static_cast<void*>(stage + kStage));
    const Rooms room{stage, strips, strips + strips_room(m, Moves::elements(k))};
    if constexpr (std::is_same_v<Stored, Element>)
      if (m <= kRows && b.along == 1) return in_place(m, n, k, a, b, c, c_rows, room);
    if (packs_a(m, n, k, a, b)) return by_columns(m, n, k, a, b, c, c_rows, room);
    const int64_t most = Factor::in_place(a, k) ? m : kMostStrips;
    for (int64_t i = 0; i < m; i += most)
      by_blocks(std::min(most, m - i), n, k, a.at(i, 0), b, c + i * c_rows, c_rows, room);
  }

 private:
  using Tiles = cpu::Tiles<typename Factor::Arithmetic>;
  using Moves = cpu::Moves<Factor>;
  static constexpr int64_t kLanes = Tiles::kLanes, kRows = Tiles::kRows, kWidth = Tiles::kWidth;
  static constexpr int64_t kBlock = 8 * kRows;  // vectors that are gathered or turned at a time: whole lines
  static constexpr int64_t kStage = kBlock * kWidth;
  static constexpr int64_t kMostPacked = (256 << 10) / sizeof(Element), kDepth = 256;  // elements
  static constexpr int64_t kDepthTerms = kDepth * Factor::kTerms, kMostStrips = 16 * kBlock;

  static int64_t packets(int64_t width) { return Tiles::packets(width); }
  static int64_t block_width(int64_t depth) {
    return std::max(kWidth, kMostPacked / std::max<int64_t>(depth, 1) / kWidth * kWidth);
  }
  // Whether a is the side to pack, by what moves: packing copies whole packets, or turns them; a gathered
  // strip is short; the sums of a packed a come out as columns and must be turned.
  static bool packs_a(int64_t m, int64_t n, int64_t k, Side<Stored> a, Side<Stored> b) {
    const auto reads = [k](Side<Stored> x) { return Factor::in_place(x, k).has_value(); };
    if (m * Moves::elements(k) > kMostPacked || (!reads(b) && k > kDepthTerms)) return false;
    constexpr int64_t kCopied = 1, kTurned = 2, kGathered = 6;
    const auto packed = [](Side<Stored> x) { return x.along == 1 ? kCopied : kTurned; };
    const auto read = [&](Side<Stored> x) { return reads(x) ? 0 : kGathered; };
    return m * k * packed(a) + n * k * read(b) + m * n * kTurned < n * k * packed(b) + m * k * read(a);
  }
  static int64_t strips_room(int64_t m, int64_t elements) {
    return std::clamp((m + kRows - 1) / kRows * kRows, kBlock, kMostStrips) * std::min(elements, kDepth);
  }
  struct Rooms {
    Sum* stage;
    Element *strips, *panels;
  };

  // Panel after panel of kWidth vectors, in each [p][vector]; the last is as wide as whole packets need,
  // filled up with zeros.
  static void pack(Side<Stored> x, int64_t count, int64_t terms, Element* panel) {
    const int64_t depth = Moves::elements(terms);
    for (int64_t i = 0; i < count; i += kWidth) {
      const int64_t valid = std::min(kWidth, count - i), width = packets(valid) * kLanes;
      const Stored* const from = x.at(i, 0).data;
      if (x.inner == 1) Moves::turn(from, x.along, valid, terms, panel, width);
      for (int64_t p = 0; p < depth; ++p) {
        if (x.inner != 1) Moves::copy_across(from, x.inner, p, terms, valid, panel + p * width);
        std::fill_n(panel + p * width + valid, width - valid, Element{});
      }
      panel += width * depth;
    }
  }

  // So few rows that to pack b would not pay; only what is not whole packets is.
  static void in_place(int64_t m, int64_t n, int64_t k, Side<Element> a, Side<Element> b, Sum* c,
                       int64_t c_rows, const Rooms& room) {
    for (int64_t j = 0; j < n; j += kWidth) {
      const int64_t width = std::min(kWidth, n - j);
      for (int64_t p = 0; p < k; p += kDepth) {
        const int64_t depth = std::min(kDepth, k - p);
        const Side<Element> block = b.at(j, p);
        Panel<Element> panel{block.data, block.inner};
        if (width % kLanes) {
          pack(block, width, depth, room.panels);
          panel = {room.panels, packets(width) * kLanes};
        }
        Tiles::run_ragged(m, width, depth, a.at(0, p), panel, c + j, c_rows, p > 0, room.stage);
      }
    }
  }

  // `count` vectors of one side, kRows at a time from vector i on: where they lie, or gathered.
  struct Strips {
    Side<Element> first;
    int64_t step;
    Side<Element> at(int64_t i, int64_t p = 0) const {
      return {first.data + i * step + p * first.inner, first.along, first.inner};
    }
  };
  static Strips strips_of(Side<Stored> x, int64_t count, int64_t terms, Element* room) {
    const int64_t depth = Moves::elements(terms);
    if (const auto lies = Factor::in_place(x, terms)) return {*lies, lies->along};
    if (x.inner == 1) {
      for (int64_t i = 0; i < count; ++i) Moves::copy_along(x.at(i, 0).data, terms, room + i * depth);
      return {{room, depth, 1}, depth};
    }
    for (int64_t i = 0; i < count; i += kBlock)
      gather(x.at(i, 0), std::min(kBlock, count - i), terms, room + i * depth);
    return {{room, 1, kRows}, depth};
  }
  static void gather(Side<Stored> x, int64_t count, int64_t terms, Element* to) {
    const int64_t depth = Moves::elements(terms), whole = count / kRows * kRows;
    Element made[kBlock];
    for (int64_t p = 0; p < depth; ++p) {
      const Element* row = made;
      if constexpr (std::is_same_v<Stored, Element>)
        row = x.at(0, p).data;
      else
        Moves::copy_across(x.data, x.inner, p, terms, count, made);
      for (int64_t i = 0; i < whole; i += kRows)
        std::memcpy(to + i * depth + p * kRows, row + i, kRows * sizeof(Element));
      for (int64_t i = whole; i < count; ++i) to[whole * depth + p * kRows + i - whole] = row[i];
    }
  }

  // b packed a block at a time.
  static void by_blocks(int64_t m, int64_t n, int64_t k, Side<Stored> a, Side<Stored> b, Sum* c,
                        int64_t c_rows, const Rooms& room) {
    for (int64_t p = 0; p < k; p += kDepthTerms) {
      const int64_t terms = std::min(kDepthTerms, k - p), depth = Moves::elements(terms);
      const int64_t most = block_width(depth);
      const Strips strips = strips_of(a.at(0, p), m, terms, room.strips);
      for (int64_t j = 0; j < n; j += most) {
        const int64_t width = std::min(most, n - j);
        pack(b.at(j, p), width, terms, room.panels);
        by_rows(m, width, depth, strips, c + j, c_rows, p > 0, room);
      }
    }
  }

  // A block of b packed: rows of a, a few at a time, by each panel.
  static void by_rows(int64_t m, int64_t n, int64_t depth, const Strips& a, Sum* c, int64_t c_rows, bool add,
                      const Rooms& room) {
    for (int64_t i = 0; i < m; i += kRows)
      for (int64_t j = 0; j < n; j += kWidth) {
        const int64_t width = std::min(kWidth, n - j);
        Tiles::run_ragged(std::min(kRows, m - i), width, depth, a.at(i),
                          {room.panels + j * depth, packets(width) * kLanes}, c + i * c_rows + j, c_rows, add,
                          room.stage);
      }
  }

  // All of a packed: columns of b where they lie, a few at a time, by each panel, turned into rows of c a
  // block at a time.
  static void by_columns(int64_t m, int64_t n, int64_t k, Side<Stored> a, Side<Stored> b, Sum* c,
                         int64_t c_rows, const Rooms& room) {
    const int64_t depth = Moves::elements(k);
    pack(a, m, k, room.panels);
    for (int64_t j = 0; j < n; j += kBlock) {
      const int64_t columns = std::min(kBlock, n - j);
      const Strips strips = strips_of(b.at(j, 0), columns, k, room.strips);
      for (int64_t i = 0; i < m; i += kWidth) {
        const int64_t width = std::min(kWidth, m - i), step = packets(width) * kLanes;
        for (int64_t p = 0; p < depth; p += kDepth)
          for (int64_t q = 0; q < columns; q += kRows)
            Tiles::run(std::min(kRows, columns - q), packets(width), std::min(kDepth, depth - p),
                       strips.at(q, p), {room.panels + i * depth + p * step, step}, room.stage + q * kWidth,
                       kWidth, p > 0);
        cpu::Moves<AsIs<Sum>>::turn(room.stage, kWidth, columns, width, c + i * c_rows + j, c_rows);
      }
    }
  }
};

}  // namespace varve::cpu
