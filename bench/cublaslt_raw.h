// RawProduct: a product asked of cuBLASLt directly, by the fastest of all the algorithms that it names.
#pragma once

#include <cublasLt.h>

#include <string>
#include <vector>

#include <varve/core/tensor.h>

namespace bench {

// As it is asked for: out [m, n] = a [m, k] b [k, n], by rows.
struct RawKind {
  cudaDataType in, out;
  cublasComputeType_t compute;
  bool turned_b = false;  // b lies as [n, k]
};

// What is done to the results in the same kernel.
struct RawEpilogue {
  cublasLtEpilogue_t what = CUBLASLT_EPILOGUE_DEFAULT;
  varve::Tensor bias{};     // read, or for a gradient of a bias written: [n]
  varve::Tensor aux{};      // what a derivative needs, written or read
  int64_t aux_leading = 0;  // elements, or bits, from one row to the next
};

class RawProduct {
 public:
  RawProduct(const RawKind& kind, const varve::Tensor& a, const varve::Tensor& b, const varve::Tensor& out,
             RawEpilogue epilogue = {});
  RawProduct(const RawProduct&) = delete;
  RawProduct& operator=(const RawProduct&) = delete;

  // For each of so many, one after the other. The first call times the algorithms; negative where there is
  // none.
  double seconds(int times);
  std::string note() const { return note_; }

 private:
  bool start(const cublasLtMatmulHeuristicResult_t& algorithm);
  double timed(const cublasLtMatmulHeuristicResult_t& algorithm, int times);
  void ask();
  void choose(int times);

  varve::Tensor a_, b_, out_;
  RawEpilogue epilogue_;
  cudaDataType scale_;
  cublasLtMatmulDescOpaque_t operation_;
  cublasLtMatrixLayoutOpaque_t b_lies_, a_lies_, out_lies_;
  std::vector<cublasLtMatmulHeuristicResult_t> algorithms_;
  size_t best_ = 0;
  bool asked_ = false;
  std::string note_;
};

}  // namespace bench
