#include <varve/cuda/product_plans.h>

#include <fmt/format.h>

#include <varve/core/error.h>
#include <varve/cuda/check.h>

namespace varve::cuda {
namespace {

constexpr cudaDataType kTypes[kFloatings] = {CUDA_R_32F, CUDA_R_64F, CUDA_R_16F, CUDA_R_16BF};  // by dtype

// A long sum may be cut: its parts wait in the workspace, unrounded, and are added in their order by a step
// of its own. The other ways add them up in `out` as they come, or round them to a half before.
constexpr uint32_t kReductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;

// f32 is never less unless that is allowed, and halves are summed in it.
cublasComputeType_t compute_type(const ProductShape& shape) {
  if (shape.dtype == DType::f64) return CUBLAS_COMPUTE_64F;
  return shape.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

// What lies by columns as a matrix of [rows, columns], turned or not.
cublasLtMatrixLayoutOpaque_t layout(const ProductShape& shape, int64_t rows, int64_t columns,
                                    const ProductFactor& lies, int64_t step) {
  if (lies.turned) std::swap(rows, columns);
  cublasLtMatrixLayoutOpaque_t made;
  VARVE_CUDA_CHECK(cublasLtMatrixLayoutInit(&made, kTypes[static_cast<size_t>(shape.dtype)],
                                            static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                                            lies.leading));
  if (shape.count == 1) return made;
  const auto count = static_cast<int32_t>(shape.count);
  VARVE_CUDA_CHECK(
      cublasLtMatrixLayoutSetAttribute(&made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
  VARVE_CUDA_CHECK(cublasLtMatrixLayoutSetAttribute(&made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step,
                                                    sizeof step));
  return made;
}

cublasLtMatmulPreferenceOpaque_t preference(const ProductShape& shape) {
  cublasLtMatmulPreferenceOpaque_t made;
  VARVE_CUDA_CHECK(cublasLtMatmulPreferenceInit(&made));
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    VARVE_CUDA_CHECK(cublasLtMatmulPreferenceSetAttribute(&made, attribute, &value, sizeof value));
  };
  const auto aligned = [&](size_t operand) { return static_cast<uint32_t>(shape.aligned[operand]); };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, ProductPlans::kMostWorkspace);
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, kReductions);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned(1));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned(0));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned(2));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned(2));
  return made;
}

[[noreturn]] void refuse(const ProductShape& shape) {
  throw Error(fmt::format(
      "cuda: matmul: cuBLASLt {} has no way to multiply {} of {}: [{}, {}] by [{}, {}]; required is one. "
      "Clone the inputs, so that they lie without gaps, or compute on the CPU",
      cublasLtGetVersion(), shape.count, name_of(shape.dtype), shape.m, shape.k, shape.k, shape.n));
}

}  // namespace

ProductDescriptors::ProductDescriptors(const ProductShape& shape)
    : a(layout(shape, shape.n, shape.k, shape.b, shape.steps[1])),
      b(layout(shape, shape.k, shape.m, shape.a, shape.steps[0])),
      out(layout(shape, shape.n, shape.m, {false, shape.out_leading}, shape.steps[2])) {
  const cudaDataType scale = shape.dtype == DType::f64 ? CUDA_R_64F : CUDA_R_32F;
  VARVE_CUDA_CHECK(cublasLtMatmulDescInit(&operation, compute_type(shape), scale));
  const auto turn = [this](cublasLtMatmulDescAttributes_t which, const ProductFactor& factor) {
    const int32_t how = factor.turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    VARVE_CUDA_CHECK(cublasLtMatmulDescSetAttribute(&operation, which, &how, sizeof how));
  };
  turn(CUBLASLT_MATMUL_DESC_TRANSA, shape.b);
  turn(CUBLASLT_MATMUL_DESC_TRANSB, shape.a);
}

ProductPlans::~ProductPlans() {
  if (handle_) cublasLtDestroy(handle_);
}

// The first that it names, which it holds for the fastest: always the same one.
ProductPlan ProductPlans::made(const ProductShape& shape) {
  if (!handle_) VARVE_CUDA_CHECK(cublasLtCreate(&handle_));
  ProductPlan plan{ProductDescriptors(shape), {}, 0};
  cublasLtMatmulPreferenceOpaque_t preferred = preference(shape);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  ProductDescriptors& of = plan.of;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle_, &of.operation, &of.a, &of.b, &of.out,
                                                               &of.out, &preferred, 1, &best, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0)) refuse(shape);
  if (status != CUBLAS_STATUS_SUCCESS) fail(status, "cublasLtMatmulAlgoGetHeuristic");
  VARVE_CUDA_CHECK(best.state);
  plan.algorithm = best.algo, plan.workspace = best.workspaceSize;
  return plan;
}

ProductPlan& ProductPlans::of(const ProductShape& shape) {
  if (const auto known = plans_.find(shape); known != plans_.end()) return known->second;
  const ProductPlan plan = made(shape);
  if (plans_.size() >= kMost) plans_.clear();
  return plans_.emplace(shape, plan).first->second;
}

void ProductPlans::start(const Product& product, void* workspace, cudaStream_t stream) {
  constexpr double kWide[] = {0, 1};
  constexpr float kNarrow[] = {0, 1};
  const auto scale = [&](bool one) {
    return product.shape.dtype == DType::f64 ? static_cast<const void*>(kWide + one) : kNarrow + one;
  };
  ProductPlan& plan = of(product.shape);
  ProductDescriptors& d = plan.of;
  const auto [a, b, out] = product.at;
  VARVE_CUDA_CHECK(cublasLtMatmul(handle_, &d.operation, scale(true), b, &d.a, a, &d.b, scale(product.adds),
                                  out, &d.out, out, &d.out, &plan.algorithm, workspace, plan.workspace,
                                  stream));
}

}  // namespace varve::cuda
