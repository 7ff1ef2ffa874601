// SmallProduct: a product by a kernel of ours, and pointwise functions done to its elements in the same
// kernel.
#pragma once

#include <array>
#include <optional>

#include <varve/core/pointwise_kernels.h>
#include <varve/cuda/context.h>

namespace varve::cuda {

// One side of a product: its lines (rows of a, columns of b), and the terms along them.
struct ProductSide {
  const float* data;
  int lines;
  int64_t line_step, term_step;
};

// Products side by side: two axes of them, and how far apart a, b and out lie along each.
struct ProductLayers {
  unsigned inner;
  int64_t steps[2][3];
};

// y = F(y) or F(y, operand), to the bit what the pointwise kernels give, put into `out`, which lies as the
// product does.
struct ProductStep {
  unsigned function;  // of ProductFunctions
  const float* operand;
  int64_t row_step, column_step;
  float* out;
};
using ProductFunctions = List<pointwise::Add, pointwise::Relu, pointwise::Slope<pointwise::Relu, 0>>;

// Whether the kernels that run on this device were compiled with what hopper.cuh has, and not from the PTX of
// an older one.
bool compiled_for_hopper();

class SmallProduct {
 public:
  // None where it is not one that a kernel of ours is good for.
  static std::optional<SmallProduct> of(const Context& on, const View& a, const View& b, const View& out);
  // Adds a step; whether it could: a function of those above, of what comes last and of an operand at most,
  // into memory that lies alike.
  bool then(pointwise::Id function, Views in, const View& out);
  void start(Context& on) const;

  // What a kernel is given.
  struct Parameters {
    ProductSide a, b;
    float* out;
    int terms, share;  // in all, and of a part
    unsigned parts, steps;
    ProductLayers layers;
    std::array<ProductStep, 2> step;
  };

 private:
  Parameters p_;
  unsigned wide_, high_, layers_;  // blocks
  View last_;                      // of the steps' results
};

}  // namespace varve::cuda
