// Matrix products of every floating dtype.
#include <varve/core/cpu/gemm.h>
#include <varve/core/dtype.h>

namespace varve::cpu {

void fill_gemm(Kernels& table) {
  table.gemm[static_cast<size_t>(DType::f32)] = kGemm<AsIs<float>>;
  table.gemm[static_cast<size_t>(DType::f64)] = kGemm<AsIs<double>>;
  table.gemm[static_cast<size_t>(DType::f16)] = kGemm<Widened<Half>>;
  table.gemm[static_cast<size_t>(DType::bf16)] = kGemm<Widened<BFloat16>>;
}

}  // namespace varve::cpu
