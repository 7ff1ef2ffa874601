// Matrix products of bf16 by AVX512-BF16, which multiplies two terms in every lane and adds both to its f32.
// It takes denormal factors and sums for zero.
#include <immintrin.h>

#include <bit>
#include <cstring>

#include <varve/core/cpu/gemm.h>
#include <varve/core/dtype.h>

extern "C" const varve::cpu::Gemm* VARVE_LEVEL_TABLE();

namespace varve::cpu {
namespace {

// Two terms that follow each other.
struct Pair {
  BFloat16 first, second;
};

struct Pairs {
  using Stored = BFloat16;
  using Element = Pair;
  using Sum = float;
  using Arithmetic = Pairs;
  using Packet = AsIs<float>::Packet;
  static constexpr int kLanes = AsIs<float>::kLanes, kTerms = 2;
  static constexpr bool kReadable = true;

  static Packet load(const Pair* from) { return _mm512_loadu_ps(from); }
  static void store(Pair* to, Packet x) { _mm512_storeu_ps(to, x); }
  static Packet broadcast(const Pair* from) {
    int32_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return _mm512_castsi512_ps(_mm512_set1_epi32(bits));
  }
  static Packet multiply_add(Packet a, Packet b, Packet sum) {
    return _mm512_dpbf16_ps(sum, std::bit_cast<__m512bh>(a), std::bit_cast<__m512bh>(b));
  }

  static Packet along(const BFloat16* from) { return _mm512_loadu_ps(from); }
  static Packet across(const BFloat16* from, int64_t inner, bool whole) {
    const auto all = static_cast<__mmask16>(whole ? 0xffff : 0);
    const __m512i first = _mm512_cvtepu16_epi32(_mm256_loadu_epi16(from));
    const __m512i second = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(all, from + inner));
    return _mm512_castsi512_ps(_mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
  }
  static Pair element(const BFloat16* from, int64_t inner, bool whole) {
    return {from[0], whole ? from[inner] : BFloat16{}};
  }
  static std::optional<Side<Pair>> in_place(Side<BFloat16> x, int64_t terms) {
    if (x.inner != 1 || x.along % kTerms != 0 || terms % kTerms != 0) return std::nullopt;
    return Side<Pair>{reinterpret_cast<const Pair*>(x.data), x.along / kTerms, 1};
  }
};

}  // namespace
}  // namespace varve::cpu

const varve::cpu::Gemm* VARVE_LEVEL_TABLE() { return &varve::cpu::kGemm<varve::cpu::Pairs>; }
