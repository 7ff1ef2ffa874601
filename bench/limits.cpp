#include <varve/bench/cases.h>
#include <varve/bench/level_peers.h>
#include <varve/bench/limits.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace bench {
namespace {

double peak(double (*multiply_adds)(int64_t rounds), int threads) {
  constexpr int64_t kRounds = 20'000'000;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    std::atomic<double> operations = 0;
    const double taken = seconds([&] {
      std::vector<std::jthread> others;
      for (int t = 1; t < threads; ++t) others.emplace_back([&] { operations += multiply_adds(kRounds); });
      operations += multiply_adds(kRounds);
    });
    best = std::max(best, operations / taken);
  }
  return best;
}

}  // namespace

double peak_f32(int threads) { return peak(peers().fma_f32, threads); }
double peak_f64(int threads) { return peak(peers().fma_f64, threads); }

}  // namespace bench
