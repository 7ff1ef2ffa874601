// One level's peers; BENCH_LEVEL_TABLE names its table.
#include <varve/bench/level_peers.h>

#include <Eigen/Dense>

namespace {

template <class T>
void product(int64_t m, int64_t n, int64_t k, const T* a, const T* b, T* c) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<const Matrix> x(a, m, k), y(b, k, n);
  Eigen::Map<Matrix>(c, m, n).noalias() = x * y;
}

template <class T>
struct MultiplyAdd {
  using Packet = typename Eigen::internal::packet_traits<T>::type;
  static constexpr double kTerms = 1;  // of a lane
  static Packet of(Packet x, Packet y, Packet sum) { return Eigen::internal::pmadd(x, y, sum); }
};
// By its name, for a level has no instructions beyond its own.
struct PairProduct : MultiplyAdd<float> {
  static constexpr double kTerms = 2;
  static Packet of(Packet x, Packet y, Packet sum) {
#if defined(__AVX512F__)
    asm("vdpbf16ps %1, %2, %0" : "+v"(sum) : "v"(x), "v"(y));
#endif
    return sum;
  }
};

// Twelve chains hide the latency of one multiply-add at two a cycle. They are variables and not an array, and
// the empty asm pins each to a register, so that nothing is folded or spilled.
template <class T, class Operation = MultiplyAdd<T>>
double multiply_adds(int64_t rounds) {
  using Packet = typename Operation::Packet;
  const Packet x = Eigen::internal::pset1<Packet>(T(1.0000001)), y = Eigen::internal::pset1<Packet>(T(1e-9));
  Packet a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
  const auto round = [&](auto&... sums) {
    ((sums = Operation::of(x, y, sums)), ...);
    (([&](auto& sum) { asm volatile("" : "+v"(sum)); })(sums), ...);
  };
  for (int64_t r = 0; r < rounds; ++r) round(a, b, c, d, e, f, g, h, i, j, k, l);
  constexpr int kChains = 12, kWidth = sizeof(Packet) / sizeof(T);
  return 2.0 * Operation::kTerms * kChains * kWidth * static_cast<double>(rounds);
}

// Four squares of sums in tiles. The factors are numbers of all kinds, for what many bits change in takes
// power.
double square_products(int64_t rounds) {
  constexpr int kSquares = 4, kSide = 16, kTerms = 32;
  const int64_t turns = rounds / 8;
#if defined(__AVX512F__)
  struct alignas(64) {
    uint8_t palette = 1, unused[15]{};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } tiles;
  uint16_t factor[kSide * kTerms];
  uint32_t bits = 1;
  for (uint16_t& x : factor)
    x = static_cast<uint16_t>(0x3f00 | ((bits = bits * 1664525 + 1013904223) >> 16 & 0x80ff));
  asm volatile("ldtilecfg %0" : : "m"(tiles));
  asm volatile(
      "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"
      "tileloadd (%0,%1,1), %%tmm4\n tileloadd (%0,%1,1), %%tmm5"
      :
      : "r"(factor), "r"(int64_t{64})
      : "memory");
  for (int64_t r = 0; r < turns; ++r)
    asm volatile(
        "tdpbf16ps %tmm5, %tmm4, %tmm0\n tdpbf16ps %tmm5, %tmm4, %tmm1\n"
        "tdpbf16ps %tmm5, %tmm4, %tmm2\n tdpbf16ps %tmm5, %tmm4, %tmm3");
  asm volatile("tilerelease");
#endif
  return 2.0 * kSquares * kSide * kSide * kTerms * static_cast<double>(turns);
}

void triad(int64_t count, float* __restrict a, const float* __restrict b, const float* __restrict c) {
  for (int64_t i = 0; i < count; ++i) a[i] = b[i] + 0.5f * c[i];
}

void triad_in_place(int64_t count, float* __restrict a, const float* __restrict b) {
  for (int64_t i = 0; i < count; ++i) a[i] += 0.5f * b[i];
}

}  // namespace

extern "C" const bench::Peers BENCH_LEVEL_TABLE;
const bench::Peers BENCH_LEVEL_TABLE{product<float>,
                                     product<double>,
                                     [](int count) { Eigen::setNbThreads(count); },
                                     multiply_adds<float>,
                                     multiply_adds<double>,
                                     multiply_adds<float, PairProduct>,
                                     square_products,
                                     triad,
                                     triad_in_place};
