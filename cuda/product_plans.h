// ProductPlans: how cuBLASLt computes products, looked up once for each shape.
#pragma once

#include <cublasLt.h>

#include <unordered_map>

#include <varve/cuda/product_shape.h>

namespace varve::cuda {

// What is asked for, in its terms: its a is our b.
struct ProductDescriptors {
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatrixLayoutOpaque_t a, b, out;
  explicit ProductDescriptors(const ProductShape& shape);
};

struct ProductPlan {
  ProductDescriptors of;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace;  // bytes
};

// By one thread at a time. The handle is made with the first plan, for it takes a while.
class ProductPlans {
 public:
  static constexpr size_t kMost = 1024;  // a new one makes room by dropping all
  static constexpr uint64_t kMostWorkspace = uint64_t{32} << 20;

  ProductPlans() = default;
  ~ProductPlans();
  ProductPlans(const ProductPlans&) = delete;
  ProductPlans& operator=(const ProductPlans&) = delete;

  // Valid until another is asked for.
  ProductPlan& of(const ProductShape& shape);
  void start(const Product& product, void* workspace, cudaStream_t stream);

 private:
  ProductPlan made(const ProductShape& shape);

  cublasLtHandle_t handle_ = nullptr;
  std::unordered_map<ProductShape, ProductPlan, ProductHash> plans_;
};

}  // namespace varve::cuda
