#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <varve/bench/cublaslt_raw.h>

#include <algorithm>
#include <numeric>

#include <varve/bench/cases.h>
#include <varve/core/error.h>
#include <varve/core/ops/make.h>

namespace bench {
namespace {

constexpr int kMostAlgorithms = 32;
constexpr uint64_t kWorkspace = uint64_t{32} << 20;

void require(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw varve::Error(fmt::format("cublasLt: {}: {}", what, cublasLtGetStatusString(status)));
}
void require(cudaError_t status, const char* what) {
  if (status != cudaSuccess)
    throw varve::Error(fmt::format("cuda: {}: {}", what, cudaGetErrorString(status)));
}

void* data(const varve::Tensor& t) { return t.view().data; }

// What all of them share; it lives as long as the program.
struct Shared {
  cublasLtHandle_t handle = nullptr;
  cudaStream_t stream = nullptr;
  varve::Tensor workspace = varve::zeros({static_cast<int64_t>(kWorkspace)}, varve::DType::u8);
  varve::Tensor mark = varve::zeros({});
  Shared() {
    require(cublasLtCreate(&handle), "cublasLtCreate");
    require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  }
};
Shared& shared() {
  static Shared& all = *new Shared;
  return all;
}

cublasLtMatrixLayoutOpaque_t layout(cudaDataType type, int64_t rows, int64_t columns) {
  cublasLtMatrixLayoutOpaque_t made;
  require(cublasLtMatrixLayoutInit(&made, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                                   rows),
          "cublasLtMatrixLayoutInit");
  return made;
}

}  // namespace

// By columns it is out' = b' a'.
RawProduct::RawProduct(const RawKind& kind, const varve::Tensor& a, const varve::Tensor& b,
                       const varve::Tensor& out, RawEpilogue epilogue)
    : a_(a), b_(b), out_(out), epilogue_(std::move(epilogue)) {
  const int64_t m = a.size(0), k = a.size(1), n = kind.turned_b ? b.size(0) : b.size(1);
  scale_ = kind.compute == CUBLAS_COMPUTE_64F ? CUDA_R_64F : CUDA_R_32F;
  b_lies_ = kind.turned_b ? layout(kind.in, k, n) : layout(kind.in, n, k);
  a_lies_ = layout(kind.in, k, m), out_lies_ = layout(kind.out, n, m);
  require(cublasLtMatmulDescInit(&operation_, kind.compute, scale_), "cublasLtMatmulDescInit");
  const auto set = [this](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    require(cublasLtMatmulDescSetAttribute(&operation_, attribute, &value, sizeof value),
            "cublasLtMatmulDescSetAttribute");
  };
  const int32_t turn = kind.turned_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  set(CUBLASLT_MATMUL_DESC_TRANSA, turn);
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<uint32_t>(epilogue_.what));
  if (epilogue_.bias.defined()) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, data(epilogue_.bias));
  if (epilogue_.aux.defined()) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, data(epilogue_.aux));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, epilogue_.aux_leading);
  }
}

bool RawProduct::start(const cublasLtMatmulHeuristicResult_t& algorithm) {
  constexpr double kWide[] = {1, 0};
  constexpr float kNarrow[] = {1, 0};
  const bool wide = scale_ == CUDA_R_64F;
  const void* const one = wide ? static_cast<const void*>(kWide) : kNarrow;
  const void* const zero = wide ? static_cast<const void*>(kWide + 1) : kNarrow + 1;
  return cublasLtMatmul(shared().handle, &operation_, one, data(b_), &b_lies_, data(a_), &a_lies_, zero,
                        data(out_), &out_lies_, data(out_), &out_lies_, &algorithm.algo,
                        data(shared().workspace), kWorkspace, shared().stream) == CUBLAS_STATUS_SUCCESS;
}

// As cases of varve's are timed, up to a number that comes back.
double RawProduct::timed(const cublasLtMatmulHeuristicResult_t& algorithm, int times) {
  shared().mark.item();
  bool started = true;
  const double taken = bench::seconds([&] {
    for (int i = 0; i < times && started; ++i) started = start(algorithm);
    require(cudaStreamSynchronize(shared().stream), "cudaStreamSynchronize");
    shared().mark.item();
  });
  return started ? taken / times : 1e9;
}

// All that are named for it, in that order.
void RawProduct::ask() {
  cublasLtMatmulPreferenceOpaque_t preferred;
  require(cublasLtMatmulPreferenceInit(&preferred), "cublasLtMatmulPreferenceInit");
  require(cublasLtMatmulPreferenceSetAttribute(&preferred, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &kWorkspace, sizeof kWorkspace),
          "cublasLtMatmulPreferenceSetAttribute");
  algorithms_.resize(kMostAlgorithms);
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(shared().handle, &operation_, &b_lies_, &a_lies_, &out_lies_, &out_lies_,
                                     &preferred, kMostAlgorithms, algorithms_.data(), &found);
  algorithms_.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<size_t>(found) : 0);
  std::erase_if(algorithms_, [](const auto& a) { return a.state != CUBLAS_STATUS_SUCCESS; });
  if (algorithms_.empty()) note_ = fmt::format("no algorithm: {}", cublasLtGetStatusString(status));
}

// All in short, those that are far behind but once; then the best few, and the first that was named, at
// length.
void RawProduct::choose(int times) {
  constexpr size_t kFew = 4;
  std::vector<double> taken(algorithms_.size());
  std::vector<size_t> order(algorithms_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  double fastest = 1e9;
  const auto time_first = [&](size_t few, int count) {
    const size_t end = std::min(few, order.size());
    for (size_t i = 0; i < end; ++i) {
      const auto& algorithm = algorithms_[order[i]];
      double& best = taken[order[i]];
      timed(algorithm, 1);  // it is loaded
      best = std::min(timed(algorithm, 1), timed(algorithm, 1));
      fastest = std::min(fastest, best);
      for (int round = 0; round < 3 && best < 3 * fastest; ++round)
        best = std::min(round ? best : 1e9, timed(algorithm, count));
    }
    std::sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(end),
              [&](size_t x, size_t y) { return taken[x] < taken[y]; });
  };
  time_first(order.size(), std::max(1, times / 10));
  const auto first = std::find(order.begin(), order.end(), size_t{0});
  if (first - order.begin() >= static_cast<ptrdiff_t>(kFew)) std::iter_swap(first, order.begin() + kFew - 1);
  time_first(kFew, times);
  best_ = order[0];
  note_ = fmt::format("fastest of {}, number {} of those named; the first takes {:.3f} times as long",
                      order.size(), best_ + 1, taken[0] / taken[best_]);
}

double RawProduct::seconds(int times) {
  if (!asked_) {
    asked_ = true;
    ask();
    if (!algorithms_.empty()) choose(times);
  }
  return algorithms_.empty() ? -1 : timed(algorithms_[best_], times);
}

}  // namespace bench
