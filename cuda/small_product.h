// SmallProduct: a product by a kernel of ours, and functions done to its elements in the same kernel.
#pragma once

#include <array>
#include <optional>

#include <varve/core/backend.h>
#include <varve/core/pointwise_kernels.h>
#include <varve/cuda/context.h>

namespace varve::cuda {

// One side of a product: its lines (rows of a, columns of b), and the terms along them.
struct ProductSide {
  const float* data;
  int lines;
  bool fours;  // whether fours of what lies side by side are aligned
  int64_t line_step, term_step;
};

// Products side by side: two axes of them, and how far apart a, b and out lie along each.
struct ProductLayers {
  unsigned inner;
  int64_t steps[2][3];
};

// What steps read beside the product: elements of f32, or targets, whose verdict there is; and how far apart
// rows and columns of them lie.
struct ProductOperand {
  const void* data;
  int64_t row_step, column_step;
  int64_t* verdict;
};

// What is done to the product's elements, to the bit what the kernels of its family do. Of ProductFunctions:
// y = F(y, operands...), or for an optimizer's update (operand, ...) = F(operand, y, operands...,
// numbers...). Of rows: what the cross-entropy is, or y = its slope; operands are the targets and, for the
// slope, the gradient.
struct ProductStep {
  unsigned function;                // of ProductFunctions, or one of those after them
  std::array<unsigned, 3> operand;  // which
  std::array<float*, 3> out;        // which lie as the product does, or have one element for each row
  double constants[4];
};
using ProductFunctions = List<pointwise::Add, pointwise::Relu, pointwise::Slope<pointwise::Relu, 0>,
                              pointwise::SgdUpdate, pointwise::AdamUpdate>;
inline constexpr unsigned kProductEntropy = ProductFunctions::size,
                          kProductEntropySlope = kProductEntropy + 1;
// Which input of F the product's elements are.
template <class F>
inline constexpr int kProductInput = F::kAbout.numbers > 0 ? 1 : 0;

inline constexpr int kProductTile = 32;  // rows and columns of a block's tile
inline constexpr int kSumsStep = 40;     // row length of its sums in shared memory, without conflicts
inline constexpr int kMostProductParts = 8;
inline constexpr unsigned kMostProductSteps = 3, kMostProductOperands = 3;

// Whether the kernels that run on this device were compiled with what hopper.cuh has, and not from the PTX of
// an older one.
bool compiled_for_hopper();

class SmallProduct {
 public:
  // None where it is not one that a kernel of ours is good for.
  static std::optional<SmallProduct> of(const Context& on, const View& a, const View& b, const View& out);
  // Whether the view is what the last step gives, or the product without any.
  bool gives(const View& v) const;
  // Adds a step; whether it could, else this is of no more use: a function of what comes last, as its one
  // input that is that.
  bool then(pointwise::Id function, const double* constants, Views in, Views out);
  bool then(Context& on, RowFn function, Views in, Views out);
  void start(Context& on) const;

  // What a kernel is given.
  struct Parameters {
    ProductSide a, b;
    float* out;
    int terms, share;  // in all, and of a part
    unsigned parts, steps, operands, wide;
    ProductLayers layers;
    std::array<ProductStep, kMostProductSteps> step;
    std::array<ProductOperand, kMostProductOperands> operand;
    std::array<const void*, 3>
        number;  // of the one step that has any; bits of those that are f64, not f32: wide
  };

 private:
  bool has_room() const;
  bool fits(const View& v) const;
  bool add_operand(unsigned& place, const ProductOperand& operand);

  Parameters p_;
  unsigned wide_, high_, layers_;  // blocks
  View last_;                      // of the steps' results
};

}  // namespace varve::cuda
