// Matrix products of bf16 by AMX: a square of 16 by 16 sums takes 32 terms of 16 vectors of either factor at
// a time. One factor is packed into panels, a block at a time that stays in the second cache, the other into
// a strip that stays in the first. Every element is summed in the order of p, by blocks of kDepth terms that
// are added in order: which factor is packed as what, and how a product is cut, changes no bit.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include <varve/core/cpu/gemm.h>
#include <varve/core/cpu/squares.h>

extern "C" const varve::cpu::Gemm* VARVE_LEVEL_TABLE();

namespace varve::cpu {
namespace {

using Few = Widened<BFloat16>;  // of fewer rows or columns than a square has
using Form = Squares::Form;
using Side = Squares::Side;

constexpr int64_t kSide = Squares::kVectors, kStep = 2 * kSide;  // vectors at a time
constexpr int64_t kDepth = 512, kMostPanels = 1024;              // terms, vectors
constexpr int64_t kSums = kSide * kSide;

// While one lives this thread has eight tiles of 16 rows of 64 bytes. Beyond that they would be saved with it
// whenever another runs.
class TileUse {
 public:
  TileUse() { _tile_loadconfig(&kConfig); }
  ~TileUse() { _tile_release(); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;

 private:
  struct alignas(64) Config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  };
  static constexpr Config kConfig{
      1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
};

// Up to two by two squares of sums over `steps` steps of two groups each.
template <int kDown, int kAcross>
void multiply(int64_t steps, const BFloat16* left, const BFloat16* right, float* sums) {
  constexpr int64_t kLine = 64;
  const int64_t group = steps * Squares::kSize;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // for tile loads say nothing of the memory they read
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t s = 0; s < steps; ++s, left += Squares::kSize, right += Squares::kSize) {
    _tile_loadd(4, left, kLine);
    _tile_stream_loadd(6, right, kLine);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kAcross == 2) {
      _tile_stream_loadd(7, right + group, kLine);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kDown == 2) {
      _tile_loadd(5, left + group, kLine);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kAcross == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, kLine);
  if constexpr (kAcross == 2) _tile_stored(1, sums + kSums, kLine);
  if constexpr (kDown == 2) _tile_stored(2, sums + 2 * kSums, kLine);
  if constexpr (kDown == 2 && kAcross == 2) _tile_stored(3, sums + 3 * kSums, kLine);
}
constexpr auto kMultiply =
    std::array{std::array{multiply<1, 1>, multiply<1, 2>}, std::array{multiply<2, 1>, multiply<2, 2>}};

// Where sums go: c, or its transpose.
struct Sums {
  float* c;
  int64_t c_rows;
  bool turns;

  // Element (i, j) and on: `rows` by `columns` of a square.
  void take(float* sums, int64_t i, int64_t j, int64_t rows, int64_t columns, bool add) const {
    if (turns) {
      Squares::store(turned(Squares::load(sums)), sums);
      std::swap(i, j), std::swap(rows, columns);
    }
    const auto valid = static_cast<__mmask16>((1u << columns) - 1);
    float* to = c + i * c_rows + j;
    for (int64_t r = 0; r < rows; ++r, to += c_rows, sums += kSide) {
      __m512 y = _mm512_load_ps(sums);
      if (add) y = _mm512_add_ps(_mm512_maskz_loadu_ps(valid, to), y);
      _mm512_mask_storeu_ps(to, valid, y);
    }
  }
};

struct Rooms {
  float* sums;
  BFloat16 *strip, *panels;
};

// A strip of `rows` vectors by each panel.
void by_panels(int64_t rows, int64_t columns, int64_t terms, int64_t i, int64_t j, bool add, const Sums& c,
               const Rooms& room) {
  const int64_t steps = Squares::steps(terms), down = Squares::groups(rows);
  for (int64_t q = 0; q < columns; q += kStep) {
    const int64_t across = std::min<int64_t>(2, Squares::groups(columns - q));
    kMultiply[down - 1][across - 1](steps, room.strip, room.panels + q * steps * Squares::kTerms, room.sums);
    for (int64_t y = 0; y < down; ++y)
      for (int64_t x = 0; x < across; ++x)
        c.take(room.sums + (2 * y + x) * kSums, i + y * kSide, j + q + x * kSide,
               std::min(kSide, rows - y * kSide), std::min(kSide, columns - q - x * kSide), add);
  }
}

void by_blocks(int64_t m, int64_t n, int64_t k, Side a, Side b, const Sums& c, const Rooms& room) {
  for (int64_t p = 0; p < k; p += kDepth) {
    const int64_t terms = std::min(kDepth, k - p);
    for (int64_t j = 0; j < n; j += kMostPanels) {
      const int64_t columns = std::min(kMostPanels, n - j);
      Squares::pack(b.at(j, p), columns, terms, Form::right, room.panels);
      for (int64_t i = 0; i < m; i += kStep) {
        const int64_t rows = std::min(kStep, m - i);
        Squares::pack(a.at(i, p), rows, terms, Form::left, room.strip);
        by_panels(rows, columns, terms, i, j, p > 0, c, room);
      }
    }
  }
}

// Whether a is to be packed into panels and b into strips, by what moves: squares are copied, zipped or
// turned.
bool turns(int64_t m, int64_t n, int64_t k, Side a, Side b) {
  constexpr int64_t kCopied = 1, kZipped = 2, kTurned = 4;
  const auto left = [](Side x) { return x.inner == 1 ? kCopied : kZipped + kTurned; };
  const auto right = [](Side x) { return x.inner == 1 ? kTurned : kZipped; };
  return n * k * left(b) + m * k * right(a) + 2 * m * n * kTurned < m * k * left(a) + n * k * right(b);
}

size_t workspace(int64_t m, int64_t n, int64_t k) {
  const int64_t vectors = std::min(kMostPanels, Squares::groups(std::max(m, n)) * kSide) + kStep;
  const int64_t terms = Squares::steps(std::min(kDepth, k)) * Squares::kTerms;
  return std::max(kGemm<Few>.workspace(m, n, k), static_cast<size_t>(4 * kSums) * sizeof(float) +
                                                     static_cast<size_t>(vectors * terms) * sizeof(BFloat16));
}

void run(int64_t m, int64_t n, int64_t k, GemmOperand a, GemmOperand b, void* c, int64_t c_rows,
         void* workspace) {
  if (std::min(m, n) < kFewestInProduct) return kGemm<Few>.run(m, n, k, a, b, c, c_rows, workspace);
  const Side rows{static_cast<const BFloat16*>(a.data), a.rows, a.columns};
  const Side columns{static_cast<const BFloat16*>(b.data), b.columns, b.rows};
  const auto sums = static_cast<float*>(workspace);
  const auto strip = static_cast<BFloat16*>(static_cast<void*>(sums + 4 * kSums));
  const int64_t depth = Squares::steps(std::min(kDepth, k)) * Squares::kTerms;
  const Rooms room{sums, strip, strip + kStep * depth};
  const TileUse tiles;
  if (turns(m, n, k, rows, columns))
    by_blocks(n, m, k, columns, rows, {static_cast<float*>(c), c_rows, true}, room);
  else
    by_blocks(m, n, k, rows, columns, {static_cast<float*>(c), c_rows, false}, room);
}

}  // namespace
}  // namespace varve::cpu

const varve::cpu::Gemm* VARVE_LEVEL_TABLE() {
  static constexpr varve::cpu::Gemm kTable{varve::cpu::workspace, varve::cpu::run};
  return &kTable;
}
