// Matrix products: ours in turn with Eigen's on the same data, and as a fraction of the multiply-add peak
// that this run measured. Google Benchmark's options and JSON; cases are gemm/<dtype>/<m>x<k>x<n>/threads:<t>
// and batch/<dtype>/<count>x<m>x<k>x<n>/threads:<t>, and nothing more, so timing is paused for Eigen rather
// than manual, and no number of iterations is set.
//
// Counters, of the median: flops (a rate), of_peak (fraction of the peak of that many threads), of_eigen
// (Eigen's time over ours in pairs run one after the other; its product of f32 for bf16), eigen_flops.
//
//   bench_gemm --serve [--threads N] [--device cuda]
//       reads the names of cases on stdin, answers each with the seconds of a product, or of a batch: what
//       other peers are interleaved with
//   bench_gemm --device cuda           the same cases on a GPU; bench_cublaslt has its ceilings
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

// A dtype that products are timed of.
template <class T>
struct Kind;
template <>
struct Kind<float> {
  static constexpr const char *kName = "f32", *kPeakName = "peak/f32";
  static constexpr auto kPeak = bench::peak_f32;
  using Eigens = float;
};
template <>
struct Kind<double> {
  static constexpr const char *kName = "f64", *kPeakName = "peak/f64";
  static constexpr auto kPeak = bench::peak_f64;
  using Eigens = double;
};
template <>
struct Kind<varve::BFloat16> {
  static constexpr const char *kName = "bf16", *kPeakName = "peak/bf16";
  static constexpr auto kPeak = bench::peak_bf16;
  using Eigens = float;
};

template <class T>
double peak_once(int threads) {
  static std::map<int, double> known;
  const auto [entry, fresh] = known.emplace(threads, 0);
  if (fresh) entry->second = Kind<T>::kPeak(threads);
  return entry->second;
}

struct Sizes {
  int64_t count, m, k, n;  // products [m, k] by [k, n]
  double flops() const {
    return 2.0 * static_cast<double>(count * m) * static_cast<double>(k) * static_cast<double>(n);
  }
  std::string name() const {
    const std::string one = std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n);
    return count == 1 ? one : std::to_string(count) + "x" + one;
  }
};

// The operands of a product or of a batch of them, and both ways to compute it.
template <class T>
class Products {
 public:
  explicit Products(const Sizes& sizes) : sizes_(sizes) {}
  double flops() const { return sizes_.flops(); }
  int repeats() const { return static_cast<int>(std::max(1.0, 5e8 / flops())); }
  void ours() const {
    const varve::View in[] = {a_.view(), b_.view()}, out[] = {c_.view()};
    varve::Matmul{}.run(c_.value().storage->backend(), in, out, {});
  }
  // One after the other, where they are several.
  void eigen() const {
    const Peer *x = peer_a_.template data<Peer>().data(), *y = peer_b_.template data<Peer>().data();
    Peer* z = peer_c_.view().template as<Peer>();
    const auto [count, m, k, n] = sizes_;
    for (int64_t i = 0; i < count; ++i, x += m * k, y += k * n, z += m * n)
      if constexpr (std::is_same_v<Peer, float>)
        bench::peers().eigen_f32(m, n, k, x, y, z);
      else
        bench::peers().eigen_f64(m, n, k, x, y, z);
  }

 private:
  using Peer = typename Kind<T>::Eigens;
  static constexpr varve::DType kType = varve::dtype_of<T>, kPeer = varve::dtype_of<Peer>;
  varve::Shape matrices(int64_t rows, int64_t columns) const {
    return sizes_.count == 1 ? varve::Shape{rows, columns} : varve::Shape{sizes_.count, rows, columns};
  }
  Sizes sizes_;
  varve::Tensor a_ = varve::randn(matrices(sizes_.m, sizes_.k), kType);
  varve::Tensor b_ = varve::randn(matrices(sizes_.k, sizes_.n), kType);
  varve::Tensor c_ = varve::zeros(matrices(sizes_.m, sizes_.n), kType);
  varve::Tensor peer_a_ = varve::cast(a_, kPeer), peer_b_ = varve::cast(b_, kPeer);
  varve::Tensor peer_c_ = varve::zeros(c_.shape(), kPeer);
};

// Of one product, timed several at a time where they are small.
template <class T>
double seconds(const Products<T>& products, const auto& product) {
  const int repeats = products.repeats();
  product();  // wakes the threads: a processor that was idle may take a millisecond
  const double taken = bench::device_seconds([&] {
    for (int i = 0; i < repeats; ++i) product();
  });
  return taken / repeats;
}

constexpr int kPairs = 7;  // at least, in each case

template <class T>
void gemm(benchmark::State& state, const Sizes& sizes, int threads) {
  varve::set_threads(threads);
  bench::peers().eigen_threads(threads);
  const double limit = peak_once<T>(threads);
  const Products<T> products(sizes);
  // The threads of what ran before may still spin: those of OpenMP do for several milliseconds.
  const auto settle = [&] {
    if (threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  std::vector<double> ours, theirs, ratios;
  const auto time_ours = [&] {
    settle();
    state.ResumeTiming();
    ours.push_back(seconds(products, [&] { products.ours(); }));
    state.PauseTiming();
  };
  const auto time_theirs = [&] {
    settle();
    theirs.push_back(seconds(products, [&] { products.eigen(); }));
  };
  while (state.KeepRunningBatch(kPairs * products.repeats())) {
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

// Calls f with each case: its dtype as a type, its name, its sizes, and how many threads.
void for_each_case(const auto& f) {
  constexpr Sizes kSizes[] = {{1, 64, 784, 256},     {1, 64, 256, 10},      {1, 128, 784, 512},
                              {1, 256, 256, 256},    {1, 512, 512, 512},    {1, 1024, 1024, 1024},
                              {1, 2048, 2048, 2048}, {1, 4096, 4096, 4096}, {1000, 8, 8, 8},
                              {64, 64, 64, 64},      {64, 256, 32, 256},    {64, 256, 256, 32}};
  const int all = varve::available_processors();
  for (const Sizes& s : kSizes)
    for (int threads = 1; threads <= all; threads += std::max(1, all - 1)) {
      const auto of = [&]<class T>(T kind) {
        f(kind,
          std::string(s.count == 1 ? "gemm/" : "batch/") + Kind<T>::kName + "/" + s.name() +
              "/threads:" + std::to_string(threads),
          s, threads);
      };
      of(float{}), of(double{}), of(varve::BFloat16{});
    }
}

void run_cases(bench::Options options) {
  bench::Cases cases("GFLOP/s");
  if (!options.threads) options.threads = varve::threads();
  varve::set_threads(options.threads);
  bench::peers().eigen_threads(options.threads);
  const bool here = options.device == "cpu";
  const varve::OnDevice on(varve::device_named(options.device));
  for_each_case([&]<class T>(T, const std::string& name, const Sizes& sizes, int threads) {
    if (threads != options.threads) return;
    // Made when they are first asked for.
    const auto made = std::make_shared<std::optional<Products<T>>>();
    const auto products = [=]() -> const Products<T>& { return *made ? **made : made->emplace(sizes); };
    const double flops = sizes.flops();
    cases.add({name, flops, [=] { return seconds(products(), [&] { products().ours(); }); },
               here ? Kind<T>::kPeakName : ""});
    if (!here) return;
    if constexpr (std::is_same_v<T, typename Kind<T>::Eigens>)
      cases.add({name + "/eigen", flops, [=] { return seconds(products(), [&] { products().eigen(); }); }});
  });
  const auto add_peak = [&]<class T>(T) {
    if (here) cases.add(bench::peak_case(Kind<T>::kPeakName, Kind<T>::kPeak));
  };
  add_peak(float{}), add_peak(double{}), add_peak(varve::BFloat16{});
  cases.run(options);
}

}  // namespace

int main(int argc, char** argv) try {
  const bool cases_of_ours = std::any_of(
      argv, argv + argc, [](std::string_view a) { return a == "--serve" || a.starts_with("--device"); });
  if (cases_of_ours) {
    CLI::App app{"Matrix products"};
    bench::Options options;
    bench::add_options(app, options);
    bench::add_device(app, options);
    CLI11_PARSE(app, argc, argv);
    run_cases(options);
    return 0;
  }
  for_each_case([&]<class T>(T, const std::string& name, const Sizes& sizes, int threads) {
    const auto run = [=](benchmark::State& state) { gemm<T>(state, sizes, threads); };
    benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMicrosecond);
  });
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("level", varve::cpu::level());
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_gemm: %s\n", e.what());
  return 1;
}
