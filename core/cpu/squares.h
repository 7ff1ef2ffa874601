// Squares of bf16, 16 vectors by 32 terms in 1 KiB, as AMX multiplies them: packed from a factor however it
// lies. Terms that a square lacks are zero; vectors that it lacks are anything, for nobody reads their sums.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include <varve/core/cpu/factors.h>
#include <varve/core/dtype.h>

namespace varve::cpu {

// 16 lines of 16 words, in registers.
using Square = std::array<__m512i, 16>;

// Word i of line j where word j of line i was.
inline Square turned(Square x) {
  const auto exchange = [&x](size_t apart, auto low, auto high) {
    for (size_t i = 0; i < x.size(); ++i) {
      if (i & apart) continue;
      const __m512i a = x[i], b = x[i + apart];
      x[i] = low(a, b);
      x[i + apart] = high(a, b);
    }
  };
  const auto low = [](__m512i a, __m512i b) { return _mm512_unpacklo_epi32(a, b); };
  const auto high = [](__m512i a, __m512i b) { return _mm512_unpackhi_epi32(a, b); };
  const auto even = [](__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, 0x88); };
  const auto odd = [](__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, 0xdd); };
  exchange(2, low, high);
  exchange(1, low, high);
  exchange(4, even, odd);
  exchange(8, even, odd);
  return x;
}

class Squares {
 public:
  using Side = cpu::Side<BFloat16>;
  static constexpr int64_t kVectors = 16, kTerms = 32, kSize = kVectors * kTerms;
  // What a line of a square is: 32 terms of a vector, or two terms of each vector.
  enum class Form { left, right };

  static int64_t groups(int64_t vectors) { return (vectors + kVectors - 1) / kVectors; }
  static int64_t steps(int64_t terms) { return (terms + kTerms - 1) / kTerms; }

  // Squares [group of vectors][step of terms], made in the order in which the factor lies.
  static void pack(Side x, int64_t vectors, int64_t terms, Form form, BFloat16* to) {
    const int64_t step = steps(terms) * kSize;  // from a group to the next
    const auto rest = [](int64_t count, int64_t from, int64_t most) { return std::min(count - from, most); };
    if (x.inner == 1)
      for (int64_t i = 0; i < vectors; i += kVectors, to += step)
        for (int64_t p = 0; p < terms; p += kTerms) {
          const Square lines = load_along(x.at(i, p), rest(vectors, i, kVectors), rest(terms, p, kTerms));
          store(form == Form::left ? lines : turned(lines), to + p * kVectors);
        }
    else
      for (int64_t p = 0; p < terms; p += kTerms, to += kSize)
        for (int64_t i = 0; i < vectors; i += kVectors) {
          const Square lines = load_across(x.at(i, p), rest(vectors, i, kVectors), rest(terms, p, kTerms));
          store(form == Form::right ? lines : turned(lines), to + i / kVectors * step);
        }
  }
  static void store(const Square& square, void* to) {
    for (size_t i = 0; i < square.size(); ++i) _mm512_store_si512(static_cast<__m512i*>(to) + i, square[i]);
  }
  static Square load(const void* from) {
    Square square;
    for (size_t i = 0; i < square.size(); ++i)
      square[i] = _mm512_load_si512(static_cast<const __m512i*>(from) + i);
    return square;
  }

 private:
  static Square load_along(Side x, int64_t vectors, int64_t terms) {
    const auto valid = static_cast<__mmask32>((uint64_t{1} << terms) - 1);
    Square lines;
    for (int64_t i = 0; i < kVectors; ++i, x.data += i < vectors ? x.along : 0)
      lines[static_cast<size_t>(i)] = _mm512_maskz_loadu_epi16(valid, x.data);
    return lines;
  }
  static Square load_across(Side x, int64_t vectors, int64_t terms) {
    auto valid = static_cast<__mmask16>((1u << vectors) - 1);
    const auto next = [&](int64_t p) {
      if (p >= terms) return _mm512_setzero_si512();
      const __m256i line = _mm256_maskz_loadu_epi16(valid, x.data + p * x.inner);
      return _mm512_cvtepu16_epi32(line);
    };
    Square lines;
    for (int64_t i = 0; i < kVectors; ++i) {
      const __m512i first = next(2 * i);
      lines[static_cast<size_t>(i)] = _mm512_or_si512(first, _mm512_slli_epi32(next(2 * i + 1), 16));
    }
    return lines;
  }
};

}  // namespace varve::cpu
