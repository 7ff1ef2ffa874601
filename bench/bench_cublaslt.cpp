// varve's products on a GPU beside the fastest algorithm that cuBLASLt has for them, and what its epilogues
// would win over a product and the passes that follow it in a compiled function.
//
//   bench_cublaslt [--rounds N] [--filter TEXT]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include <varve/bench/cases.h>
#include <varve/bench/cublaslt_raw.h>
#include <varve/core/ops/elementwise.h>
#include <varve/varve.h>

using namespace varve;

namespace {

struct Kind {
  const char* name;
  DType dtype;
  bool tf32;
  bench::RawKind raw;
  double rate;  // about what a GPU does in a second, for how often a product is timed
};
const Kind kKinds[] = {
    {"f32", DType::f32, false, {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F}, 5e13},
    {"tf32", DType::f32, true, {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32}, 4e14},
    {"f64", DType::f64, false, {CUDA_R_64F, CUDA_R_64F, CUBLAS_COMPUTE_64F}, 6e13},
    {"bf16", DType::bf16, false, {CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F}, 7e14},
    {"f16", DType::f16, false, {CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F}, 7e14}};

// Some milliseconds of it.
int times_for(double work, double rate) {
  return static_cast<int>(std::clamp(4e-3 * rate / work, 1.0, 2000.0));
}

double work_of(int64_t m, int64_t k, int64_t n) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
}

// Two cases: `work` so often, and the raw product, which is its ceiling. Amounts are thousands of operations.
class Pairs {
 public:
  explicit Pairs(bench::Cases& cases) : cases_(cases) {}
  void add_raw(const std::string& name, double work, double rate, std::shared_ptr<bench::RawProduct> raw) {
    const int times = times_for(work, rate);
    cases_.add({name, work / 1e3, [=] { return raw->seconds(times); }, "", [=] { return raw->note(); }});
  }
  template <class Work>
  void add(const std::string& name, double work, double rate, std::shared_ptr<bench::RawProduct> raw,
           Work ours) {
    const int times = times_for(work, rate);
    add_raw("raw/" + name, work, rate, std::move(raw));
    cases_.add({"varve/" + name, work / 1e3,
                [=] {
                  const double taken = bench::device_seconds([&] {
                    for (int i = 0; i < times; ++i) ours();
                  });
                  return taken / times;
                },
                "raw/" + name});
  }

 private:
  bench::Cases& cases_;
};

void add_products(Pairs& pairs) {
  for (const Kind& kind : kKinds)
    for (const int64_t n : {1024, 2048, 4096, 8192}) {
      if (n == 8192 && kind.dtype == DType::f64) continue;
      const Tensor a = randn({n, n}, kind.dtype), b = randn({n, n}, kind.dtype),
                   c = zeros({n, n}, kind.dtype);
      pairs.add(fmt::format("{}/{}", kind.name, n), work_of(n, n, n), kind.rate,
                std::make_shared<bench::RawProduct>(kind.raw, a, b, c), [a, b, c, tf32 = kind.tf32] {
                  const AllowTf32 mode(tf32);
                  const View in[] = {a.view(), b.view()}, out[] = {c.view()};
                  Matmul{}.run(a.value().storage->backend(), in, out, {});
                });
    }
}

// fp8 (e4m3), which varve has no dtype for: b turned, as GPUs before Blackwell want it.
void add_fp8(Pairs& pairs) {
  const bench::RawKind kind{CUDA_R_8F_E4M3, CUDA_R_16BF, CUBLAS_COMPUTE_32F, true};
  const auto drawn = [](int64_t n) {  // of either sign, and no NaN
    const Tensor size = cast(rand({n, n}, 0, 120), DType::u8), sign = cast(rand({n, n}, 0, 2), DType::u8);
    return size + sign * 128.0;
  };
  for (const int64_t n : {1024, 2048, 4096, 8192})
    pairs.add_raw(fmt::format("raw/fp8/{}", n), work_of(n, n, n), 1.4e15,
                  std::make_shared<bench::RawProduct>(kind, drawn(n), drawn(n), zeros({n, n}, DType::bf16)));
}

// What runs as compiled functions do.
auto compiled(std::function<Tensors()> f) {
  auto fast = std::make_shared<Compiled<1, Tensors>>(compile([f](const Tensor&) { return f(); }));
  return [fast, none = zeros({})] {
    const NoGrad guard;
    (*fast)(none);
  };
}

// A layer and back: x [m, k] w [k, n] + bias, an activation, and its derivative with the bias's gradient.
// cuBLASLt's GELU is the approximation by tanh, varve's is exact.
void add_epilogues(Pairs& pairs, const Kind& kind, int64_t m, int64_t k, int64_t n) {
  const auto normal = [&](const Shape& shape) { return randn(shape, kind.dtype) * 0.1; };
  const Tensor x = normal({m, k}), w = normal({k, n}), bias = normal({n}), out = zeros({m, n}, kind.dtype);
  const Tensor before = normal({m, n}), after = relu(before), slopes = zeros({n}, kind.dtype);
  const int64_t bits = (n + 127) / 128 * 128;
  const Tensor signs = zeros({m, bits / 8}, DType::u8);
  const double work = work_of(m, k, n);
  const auto add = [&](const char* what, bench::RawEpilogue epilogue, std::function<Tensors()> ours) {
    pairs.add(fmt::format("{}/{}/{}x{}x{}", what, kind.name, m, k, n), work, kind.rate / 4,
              std::make_shared<bench::RawProduct>(kind.raw, x, w, out, std::move(epilogue)),
              compiled(std::move(ours)));
  };
  using ReluSlope = Elementwise<pointwise::Slope<pointwise::Relu, 0>>;
  using GeluSlope = Elementwise<pointwise::Slope<pointwise::Gelu, 0>>;
  add("plain", {}, [=] { return Tensors{matmul(x, w)}; });
  add("bias", {CUBLASLT_EPILOGUE_BIAS, bias}, [=] { return Tensors{matmul(x, w) + bias}; });
  add("relu", {CUBLASLT_EPILOGUE_RELU_BIAS, bias}, [=] { return Tensors{relu(matmul(x, w) + bias)}; });
  add("gelu", {CUBLASLT_EPILOGUE_GELU_AUX_BIAS, bias, zeros({m, n}, kind.dtype), n}, [=] {
    const Tensor z = matmul(x, w) + bias;
    return Tensors{z, gelu(z)};
  });
  add("drelu", {CUBLASLT_EPILOGUE_DRELU_BGRAD, slopes, signs, bits}, [=] {
    const Tensor dz = apply_op(ReluSlope{}, {matmul(x, w), after})[0];
    return Tensors{dz, sum(dz, {0})};
  });
  add("dgelu", {CUBLASLT_EPILOGUE_DGELU_BGRAD, slopes, before, n}, [=] {
    const Tensor dz = apply_op(GeluSlope{}, {matmul(x, w), before})[0];
    return Tensors{dz, sum(dz, {0})};
  });
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Products on a GPU beside cuBLASLt's fastest"};
  bench::Options options;
  options.device = "cuda", options.rounds = 5;
  bench::add_options(app, options);
  bench::add_device(app, options);
  CLI11_PARSE(app, argc, argv);
  const OnDevice on(device_named(options.device));
  bench::Cases cases("TFLOP/s");
  Pairs pairs(cases);
  add_products(pairs);
  add_fp8(pairs);
  for (const Kind& kind : {kKinds[0], kKinds[3]}) {
    add_epilogues(pairs, kind, 8192, 1024, 4096);
    add_epilogues(pairs, kind, 1024, 784, 512);
  }
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_cublaslt: %s\n", e.what());
  return 1;
}
