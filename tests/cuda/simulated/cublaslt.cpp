#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <Eigen/Core>
#include <bit>
#include <cstring>

#include "tests/cuda/simulated/device.h"

using namespace varve::simulated;

namespace {

constexpr size_t kWorkspace = 4096;

double number(const void* data, int64_t at, cudaDataType type, bool tf32) {
  switch (type) {
    case CUDA_R_64F:
      return static_cast<const double*>(data)[at];
    case CUDA_R_16F:
      return __half2float(static_cast<const __half*>(data)[at]);
    case CUDA_R_16BF:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[at]);
    case CUDA_R_32F:
      break;
  }
  const float x = static_cast<const float*>(data)[at];
  return tf32 ? std::bit_cast<float>((std::bit_cast<uint32_t>(x) + 0x1000) & ~uint32_t{0x1fff}) : x;
}

void put(void* data, int64_t at, cudaDataType type, double x) {
  switch (type) {
    case CUDA_R_64F:
      static_cast<double*>(data)[at] = x;
      return;
    case CUDA_R_16F:
      static_cast<__half*>(data)[at] = __double2half(x);
      return;
    case CUDA_R_16BF:
      static_cast<__nv_bfloat16*>(data)[at] = __double2bfloat16(x);
      return;
    case CUDA_R_32F:
      static_cast<float*>(data)[at] = static_cast<float>(x);
  }
}

Eigen::MatrixXd matrix(const void* data, const cublasLtMatrixLayoutOpaque_t& lies, int64_t layer, bool tf32) {
  Eigen::MatrixXd made(lies.rows, lies.columns);
  for (int64_t j = 0; j < lies.columns; ++j)
    for (int64_t i = 0; i < lies.rows; ++i)
      made(i, j) = number(data, layer * lies.step + j * lies.leading + i, lies.type, tf32);
  return made;
}

struct Product {
  cublasLtMatmulDescOpaque_t desc;
  cublasLtMatrixLayoutOpaque_t a_lies, b_lies, out_lies;
  const void *a, *b;
  void *out, *workspace;
  bool adds;

  void operator()() const {
    std::memset(workspace, 0xa5, kWorkspace);
    const bool tf32 = desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    for (int64_t layer = 0; layer < out_lies.count; ++layer) {
      Eigen::MatrixXd x = matrix(a, a_lies, layer, tf32), y = matrix(b, b_lies, layer, tf32);
      if (desc.turned[0]) x.transposeInPlace();
      if (desc.turned[1]) y.transposeInPlace();
      Eigen::MatrixXd z = x * y;
      if (adds) z += matrix(out, out_lies, layer, false);
      for (int64_t j = 0; j < out_lies.columns; ++j)
        for (int64_t i = 0; i < out_lies.rows; ++i)
          put(out, layer * out_lies.step + j * out_lies.leading + i, out_lies.type, z(i, j));
    }
  }
};

cublasStatus_t refusal() {
  switch (refused()) {
    case cudaSuccess:
      return CUBLAS_STATUS_SUCCESS;
    case cudaErrorMemoryAllocation:
      return CUBLAS_STATUS_ALLOC_FAILED;
    default:
      return CUBLAS_STATUS_EXECUTION_FAILED;
  }
}

// From the first element to the last.
size_t bytes_of(const cublasLtMatrixLayoutOpaque_t& m) {
  const size_t each = m.type == CUDA_R_64F ? 8 : m.type == CUDA_R_32F ? 4 : 2;
  return static_cast<size_t>((m.count - 1) * m.step + (m.columns - 1) * m.leading + m.rows) * each;
}

bool is_aligned(const void* data, uint32_t bytes) { return reinterpret_cast<uintptr_t>(data) % bytes == 0; }

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static int made;
  *handle = reinterpret_cast<cublasLtHandle_t>(&made);
  return refusal();
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
size_t cublasLtGetVersion() { return CUDART_VERSION; }
const char* cublasLtGetStatusString(cublasStatus_t) { return "an error of the simulated device"; }

cublasStatus_t cublasLtMatmulDescInit(cublasLtMatmulDesc_t desc, cublasComputeType_t compute, cudaDataType) {
  *desc = {compute, {CUBLAS_OP_N, CUBLAS_OP_N}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  std::memcpy(&desc->turned[attribute - CUBLASLT_MATMUL_DESC_TRANSA], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutInit(cublasLtMatrixLayout_t layout, cudaDataType type, uint64_t rows,
                                        uint64_t columns, int64_t leading) {
  *layout = {type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading, 0, 1};
  if (leading < layout->rows) misuse("columns of a product's matrix overlap");
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  void* const place =
      attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? static_cast<void*>(&layout->count) : &layout->step;
  std::memcpy(place, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceInit(cublasLtMatmulPreference_t preference) {
  *preference = {0, {256, 256, 256, 256}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  if (attribute >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES)
    std::memcpy(&preference->aligned[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatmulPreference_t preference,
                                              int, cublasLtMatmulHeuristicResult_t* found, int* count) {
  if (const cublasStatus_t code = refusal()) return code;
  *found = {{}, kWorkspace, CUBLAS_STATUS_SUCCESS}, *count = 1;
  std::memcpy(found->algo.aligned, preference->aligned, sizeof preference->aligned);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void*, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm,
                              void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (const cublasStatus_t code = refusal()) return code;
  const uint32_t* const aligned = algorithm->aligned;
  if (!is_aligned(a, aligned[0]) || !is_aligned(b, aligned[1]) || !is_aligned(c, aligned[2]) ||
      !is_aligned(d, aligned[3]))
    misuse("a matrix is not aligned as the algorithm wants it");
  const auto rows = [&](cublasLtMatrixLayout_t m, bool t) { return t ? m->columns : m->rows; };
  const auto columns = [&](cublasLtMatrixLayout_t m, bool t) { return t ? m->rows : m->columns; };
  const bool ta = desc->turned[0] != CUBLAS_OP_N, tb = desc->turned[1] != CUBLAS_OP_N;
  if (rows(a_layout, ta) != d_layout->rows || columns(b_layout, tb) != d_layout->columns ||
      columns(a_layout, ta) != rows(b_layout, tb) || c != d || workspace_bytes < kWorkspace ||
      a_layout->count != d_layout->count || b_layout->count != d_layout->count ||
      std::memcmp(c_layout, d_layout, sizeof *d_layout) != 0)
    misuse("a product's matrices do not fit together");
  if (!is_on_device(a, bytes_of(*a_layout)) || !is_on_device(b, bytes_of(*b_layout)) ||
      !is_on_device(d, bytes_of(*d_layout)) || !is_on_device(workspace, workspace_bytes))
    misuse("a product leaves its memory");
  const bool adds = d_layout->type == CUDA_R_64F ? *static_cast<const double*>(beta) != 0
                                                 : *static_cast<const float*>(beta) != 0;
  enqueue(stream, Product{*desc, *a_layout, *b_layout, *d_layout, a, b, d, workspace, adds});
  return CUBLAS_STATUS_SUCCESS;
}
