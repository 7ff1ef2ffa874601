// Matrix products: ours in turn with Eigen's on the same data, and as a fraction of the multiply-add peak
// that this run measured. Google Benchmark's options and JSON; cases are gemm/<dtype>/<m>x<k>x<n>/threads:<t>
// and nothing more, so timing is paused for Eigen rather than manual, and no number of iterations is set.
//
// Counters, of the median: flops (a rate), of_peak (fraction of the peak of that many threads), of_eigen
// (Eigen's time over ours in pairs run one after the other), eigen_flops.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <varve/bench/cases.h>
#include <varve/bench/level_peers.h>
#include <varve/bench/limits.h>
#include <varve/core/cpu/level.h>
#include <varve/core/cpu/threads.h>
#include <varve/varve.h>

namespace {

template <class T>
double peak_once(int threads) {
  static std::map<int, double> known;
  const auto [entry, fresh] = known.emplace(threads, 0);
  if (fresh) entry->second = std::is_same_v<T, float> ? bench::peak_f32(threads) : bench::peak_f64(threads);
  return entry->second;
}

// The operands of a product, and both ways to compute it.
template <class T>
class Products {
 public:
  Products(int64_t m, int64_t k, int64_t n) : m_(m), k_(k), n_(n) {}
  double flops() const {
    return 2.0 * static_cast<double>(m_) * static_cast<double>(k_) * static_cast<double>(n_);
  }
  void ours() const {
    const varve::View in[] = {a_.view(), b_.view()}, out[] = {c_.view()};
    varve::Matmul{}.run(varve::cpu_backend(), in, out, {});
  }
  void eigen() const {
    const T *x = a_.template data<T>().data(), *y = b_.template data<T>().data();
    T* z = peer_.view().template as<T>();
    if constexpr (std::is_same_v<T, float>)
      bench::peers().eigen_f32(m_, n_, k_, x, y, z);
    else
      bench::peers().eigen_f64(m_, n_, k_, x, y, z);
  }

 private:
  static constexpr varve::DType kType = varve::dtype_of<T>;
  int64_t m_, k_, n_;
  varve::Tensor a_ = varve::randn({m_, k_}, kType), b_ = varve::randn({k_, n_}, kType);
  varve::Tensor c_ = varve::zeros({m_, n_}, kType), peer_ = varve::zeros({m_, n_}, kType);
};

constexpr int kPairs = 7;  // at least, in each case

template <class T>
void gemm(benchmark::State& state, int64_t m, int64_t k, int64_t n, int threads) {
  varve::set_threads(threads);
  bench::peers().eigen_threads(threads);
  const double limit = peak_once<T>(threads);
  const Products<T> products(m, k, n);
  // Small products are timed several at a time.
  const int repeats = static_cast<int>(std::max(1.0, 5e8 / products.flops()));
  const auto seconds = [&](const auto& product) {
    product();  // wakes the threads: a processor that was idle may take a millisecond
    const double taken = bench::seconds([&] {
      for (int i = 0; i < repeats; ++i) product();
    });
    return taken / repeats;
  };
  // The threads of what ran before may still spin: those of OpenMP do for several milliseconds.
  const auto settle = [&] {
    if (threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  std::vector<double> ours, theirs, ratios;
  const auto time_ours = [&] {
    settle();
    state.ResumeTiming();
    ours.push_back(seconds([&] { products.ours(); }));
    state.PauseTiming();
  };
  const auto time_theirs = [&] {
    settle();
    theirs.push_back(seconds([&] { products.eigen(); }));
  };
  while (state.KeepRunningBatch(kPairs * repeats)) {
    state.PauseTiming();
    for (int pair = 0; pair < kPairs; ++pair) {
      const bool ours_first = ratios.size() % 2 == 0;
      if (ours_first) time_ours();
      time_theirs();
      if (!ours_first) time_ours();
      ratios.push_back(theirs.back() / ours.back());
    }
    state.ResumeTiming();
  }
  const double rate = products.flops() / bench::median(ours);
  state.counters["flops"] = rate;
  state.counters["of_peak"] = rate / limit;
  state.counters["of_eigen"] = bench::median(ratios);
  state.counters["eigen_flops"] = products.flops() / bench::median(theirs);
}

void add(int64_t m, int64_t k, int64_t n, int threads) {
  const auto named = [&](const char* dtype) {
    return "gemm/" + std::string(dtype) + "/" + std::to_string(m) + "x" + std::to_string(k) + "x" +
           std::to_string(n) + "/threads:" + std::to_string(threads);
  };
  const auto f32 = [=](benchmark::State& s) { gemm<float>(s, m, k, n, threads); };
  const auto f64 = [=](benchmark::State& s) { gemm<double>(s, m, k, n, threads); };
  benchmark::RegisterBenchmark(named("f32").c_str(), f32)->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(named("f64").c_str(), f64)->Unit(benchmark::kMicrosecond);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int64_t kSizes[][3] = {{64, 784, 256},     {64, 256, 10},     {128, 784, 512},
                                   {256, 256, 256},    {512, 512, 512},   {1024, 1024, 1024},
                                   {2048, 2048, 2048}, {4096, 4096, 4096}};
  const int all = varve::available_processors();
  for (const auto& s : kSizes) {
    add(s[0], s[1], s[2], 1);
    if (all > 1) add(s[0], s[1], s[2], all);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("level", varve::cpu::level());
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
