// Matrix products: ours in turn with Eigen's on the same data, and as a fraction of the multiply-add peak
// that this run measured. Google Benchmark's options and JSON; cases are
// gemm/<dtype>/<m>x<k>x<n>/threads:<t>.
//
// Counters: flops (a rate), of_peak (fraction of the peak of that many threads), of_eigen (the median, over
// pairs run one after the other, of Eigen's time over ours), eigen_flops.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>

#include <varve/bench/level_peers.h>
#include <varve/core/cpu/level.h>
#include <varve/core/cpu/threads.h>
#include <varve/varve.h>

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Floating-point operations a second that `threads` threads reach together in registers: the best of five.
template <class T>
double peak(int threads) {
  const auto burst = [] {
    return std::is_same_v<T, float> ? bench::peers().fma_f32(20'000'000) : bench::peers().fma_f64(20'000'000);
  };
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = Clock::now();
    std::vector<std::thread> others;
    std::atomic<double> total = 0;
    for (int t = 1; t < threads; ++t) others.emplace_back([&] { total = total + burst(); });
    const double mine = burst();
    for (std::thread& t : others) t.join();
    best = std::max(best, mine * threads / seconds_since(start));
  }
  return best;
}

template <class T>
double peak_once(int threads) {
  static std::map<int, double> known;
  const auto [entry, fresh] = known.emplace(threads, 0);
  if (fresh) entry->second = peak<T>(threads);
  return entry->second;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

template <class T>
void gemm(benchmark::State& state, int64_t m, int64_t k, int64_t n, int threads) {
  using namespace varve;
  set_threads(threads);
  bench::peers().eigen_threads(threads);
  const double limit = peak_once<T>(threads);
  const Tensor a = randn({m, k}, dtype_of<T>), b = randn({k, n}, dtype_of<T>), c = zeros({m, n}, dtype_of<T>);
  const Tensor peer = zeros({m, n}, dtype_of<T>);
  const View in[] = {a.view(), b.view()}, out[] = {c.view()};
  const auto eigen = [&] {
    const T *x = a.data<T>().data(), *y = b.data<T>().data();
    T* z = peer.view().template as<T>();
    if constexpr (std::is_same_v<T, float>)
      bench::peers().eigen_f32(m, n, k, x, y, z);
    else
      bench::peers().eigen_f64(m, n, k, x, y, z);
  };
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
  const int repeats =
      static_cast<int>(std::max(1.0, 2e7 / flops));  // small products are timed several at a time
  std::vector<double> ours, theirs, ratios;
  for (auto _ : state) {
    auto start = Clock::now();
    for (int i = 0; i < repeats; ++i) Matmul{}.run(cpu_backend(), in, out, {});
    ours.push_back(seconds_since(start));
    start = Clock::now();
    for (int i = 0; i < repeats; ++i) eigen();
    theirs.push_back(seconds_since(start));
    ratios.push_back(theirs.back() / ours.back());
    state.SetIterationTime(ours.back() / repeats);
  }
  const double time = median(ours) / repeats;
  state.counters["flops"] = flops / time;
  state.counters["of_peak"] = flops / time / limit;
  state.counters["of_eigen"] = median(ratios);
  state.counters["eigen_flops"] = flops * repeats / median(theirs);
}

void add(int64_t m, int64_t k, int64_t n, int threads) {
  const auto named = [&](const char* dtype) {
    return "gemm/" + std::string(dtype) + "/" + std::to_string(m) + "x" + std::to_string(k) + "x" +
           std::to_string(n) + "/threads:" + std::to_string(threads);
  };
  const auto f32 = [=](benchmark::State& s) { gemm<float>(s, m, k, n, threads); };
  const auto f64 = [=](benchmark::State& s) { gemm<double>(s, m, k, n, threads); };
  benchmark::RegisterBenchmark(named("f32").c_str(), f32)->UseManualTime()->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(named("f64").c_str(), f64)->UseManualTime()->Unit(benchmark::kMicrosecond);
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
