// Matrix products by cuBLAS: true f32 and f64, and halves summed in f32. cuBLAS counts by columns, so out = a
// b is asked for as out' = b' a'; what is transposed in memory is read so, without a copy.
#include <algorithm>

#include <varve/core/axes.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/small_product.h>
#include <varve/cuda/space.h>

namespace varve::cuda {
namespace {

constexpr size_t kWorkspace = size_t{32} << 20;

// Created on first use, for it takes a while. With a workspace of ours products can be recorded.
cublasHandle_t handle(Context& on, void* workspace) {
  if (!on.blas) {
    VARVE_CUDA_CHECK(cublasCreate(&on.blas));
    // Neither TF32 for f32, nor sums of halves in less than f32.
    VARVE_CUDA_CHECK(cublasSetMathMode(
        on.blas,
        static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)));
  }
  VARVE_CUDA_CHECK(cublasSetStream(on.blas, on.queue()));
  VARVE_CUDA_CHECK(cublasSetWorkspace(on.blas, workspace, kWorkspace));
  return on.blas;
}

// How cuBLAS reads the transpose of a matrix of [height, width]: as it lies (N), or turned (T). A stride
// along an axis of size 1 means nothing, so it must not decide.
struct Side {
  cublasOperation_t operation;
  int64_t leading;
};
Side side_of(int64_t height, int64_t width, int64_t row_stride, int64_t column_stride) {
  if (width == 1 || column_stride == 1)
    return {CUBLAS_OP_N, height == 1 ? width : std::max(row_stride, width)};
  return {CUBLAS_OP_T, std::max(column_stride, height)};
}

constexpr cudaDataType kTypes[kFloatings] = {CUDA_R_32F, CUDA_R_64F, CUDA_R_16F, CUDA_R_16BF};  // by dtype

// `count` products, whose matrices are `steps` elements apart.
struct Products {
  int64_t m, n, k, count;
  Side a, b;
  int64_t steps[3];

  void run(cublasHandle_t blas, DType dtype, std::byte* const (&at)[3]) const {
    const bool wide = dtype == DType::f64;
    const cudaDataType type = kTypes[static_cast<size_t>(dtype)];
    const cublasComputeType_t compute = wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
    const double wide_one = 1, zero = 0;  // zero is all bits 0 in both
    const float one = 1;
    const void* scale = wide ? static_cast<const void*>(&wide_one) : &one;
    if (count == 1)
      VARVE_CUDA_CHECK(cublasGemmEx_64(blas, b.operation, a.operation, n, m, k, scale, at[1], type, b.leading,
                                       at[0], type, a.leading, &zero, at[2], type, n, compute,
                                       CUBLAS_GEMM_DEFAULT));
    else
      VARVE_CUDA_CHECK(cublasGemmStridedBatchedEx_64(
          blas, b.operation, a.operation, n, m, k, scale, at[1], type, b.leading, steps[1], at[0], type,
          a.leading, steps[0], &zero, at[2], type, n, steps[2], count, compute, CUBLAS_GEMM_DEFAULT));
  }
};

}  // namespace

void drive_matmul(Context& on, const View& a, const View& b, const View& out) {
  if (out.numel() == 0) return;
  const int row = out.rank() - 2, column = out.rank() - 1;
  Products product{out.shape[row], out.shape[column], a.shape[column], 1, {}, {}, {}};
  if (product.k == 0) {
    const double zero = 0;
    return drive_fill(on, out, &zero);
  }
  if (const auto small = SmallProduct::of(on, a, b, out)) return small->start(on);
  product.a = side_of(product.m, product.k, a.strides[row], a.strides[column]);
  product.b = side_of(product.k, product.n, b.strides[row], b.strides[column]);
  const View starts[] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  const Space batches(starts[2].shape, Views(starts, 3), {});
  product.count = batches.rank ? batches.size[batches.rank - 1] : 1;
  for (int i = 0; i < 3; ++i) product.steps[i] = batches.rank ? batches.inner_stride(i) : 0;

  const std::lock_guard lock(on.blas_mutex);
  const Workspace workspace(on, kWorkspace);
  const cublasHandle_t blas = handle(on, workspace.data());
  for (int64_t batch = 0; batch < batches.total; batch += product.count) {
    std::byte* at[3];
    for (int i = 0; i < 3; ++i)
      at[i] = batches.operand[i].data + batches.offset(i, batch) * static_cast<int64_t>(size_of(out.dtype));
    product.run(blas, out.dtype, at);
  }
}

}  // namespace varve::cuda
