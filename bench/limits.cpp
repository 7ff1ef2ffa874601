#include <varve/bench/level_peers.h>
#include <varve/bench/limits.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <varve/core/cpu/level.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/ops/make.h>

namespace bench {
namespace {

// Seconds until all of `threads` threads have done work(0), work(1), ...
double together(int threads, const std::function<void(int)>& work) {
  return seconds([&] {
    std::vector<std::jthread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back([&, t] { work(t); });
    work(0);
  });
}

double peak(double (*multiply_adds)(int64_t rounds), int threads) {
  constexpr int64_t kRounds = 20'000'000;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    std::vector<double> operations(static_cast<size_t>(threads));
    const double taken =
        together(threads, [&](int t) { operations[static_cast<size_t>(t)] = multiply_adds(kRounds); });
    best = std::max(best, threads * operations[0] / taken);
  }
  return best;
}

class Triad {
 public:
  Triad(int64_t elements, bool in_place) : size_(elements), in_place_(in_place) {}
  double once() const {
    const int threads = varve::threads();
    // Each part as often as it takes until starting the threads does not count.
    const int64_t sweeps = std::max<int64_t>(1, kElements / size_), part = size_ / threads;
    const auto work = [&](int t) {
      const auto at = [&](const varve::Tensor& x) { return x.view().as<float>() + t * part; };
      for (int64_t i = 0; i < sweeps; ++i)
        in_place_ ? peers().triad_in_place(part, at(a_), at(b_))
                  : peers().triad(part, at(a_), at(b_), at(c_));
    };
    return together(threads, work) / static_cast<double>(sweeps);
  }
  double bytes() const { return 3.0 * sizeof(float) * static_cast<double>(size_); }

 private:
  static constexpr int64_t kElements = 1 << 26;  // of one timing
  int64_t size_;
  bool in_place_;
  varve::Tensor a_ = varve::zeros({size_}), b_ = varve::ones({size_}), c_ = varve::ones({size_});
};

}  // namespace

double peak_f32(int threads) { return peak(peers().fma_f32, threads); }
double peak_f64(int threads) { return peak(peers().fma_f64, threads); }
double peak_bf16(int threads) {
  const std::string level = varve::cpu::level();
  if (level == "x86-64-v4-amx") return peak(peers().square_bf16, threads);
  return level == "x86-64-v4-bf16" ? peak(peers().dot_bf16, threads) : peak_f32(threads);
}

Case peak_case(const std::string& name, double (*peak)(int threads)) {
  constexpr double kOperations = 1e10;
  return {name, kOperations, [peak] { return kOperations / peak(varve::threads()); }};
}

Case triad_case(const std::string& name, int64_t elements, bool in_place) {
  const auto triad = std::make_shared<Triad>(elements, in_place);
  return {name, triad->bytes(), [triad] { return triad->once(); }};
}

}  // namespace bench
