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
                                     triad,
                                     triad_in_place};
