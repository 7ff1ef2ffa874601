// What a block of a small product does, and what it does to the product's elements. Short code: a kernel of
// microseconds waits for its instructions, too, so nothing is there twice, and loops stay loops.
#pragma once

#include <varve/cuda/small_product.h>
#include <varve/cuda/exponentials.cuh>
#include <varve/cuda/indices.cuh>
#include <varve/cuda/pointwise.cuh>

namespace varve::cuda {

// A part of the terms of a tile.
struct Task {
  int part, row, column;
  int64_t start[3];  // of its layer: a, b, out

  __device__ explicit Task(const SmallProduct::Parameters& p)
      : part(static_cast<int>(blockIdx.x % p.parts)),
        row(static_cast<int>(blockIdx.y) * kProductTile),
        column(static_cast<int>(blockIdx.x / p.parts) * kProductTile) {
    const int64_t outer = blockIdx.z / p.layers.inner, inner = blockIdx.z % p.layers.inner;
    for (int i = 0; i < 3; ++i) start[i] = outer * p.layers.steps[0][i] + inner * p.layers.steps[1][i];
  }
};

// What steps read beside the product, in shared memory: of each operand what a thread needs for its elements.
struct ProductExtras {
  float operand[kMostProductOperands][kProductTile * kProductTile];
  float number[3];
};

// Those elements of a tile that this part brings to an end: a warp has a row, and then the one kHigh rows on.
// They stay in the tile, in shared memory, and go through one step after the other.
class Results {
 public:
  static constexpr int kHigh = kThreads / kProductTile;

  __device__ Results(const SmallProduct::Parameters& p, const Task& task, float* tile, ProductExtras& extras)
      : p_(p), extras_(extras) {
    const int rows = kProductTile / static_cast<int>(p.parts);  // of a part
    const int first = task.part * rows + static_cast<int>(threadIdx.x) / kProductTile;
    row_ = task.row + first;
    end_ = min(p.a.lines, task.row + (task.part + 1) * rows);
    column_ = task.column + static_cast<int>(threadIdx.x) % kProductTile;
    tile_ = tile + first * kSumsStep + threadIdx.x % kProductTile;
    start_ = task.start[2] + int64_t{row_} * p.b.lines + column_;
  }
  // Sends for what the steps read, for it is long on its way: in the next batch.
  __device__ void send() {
#pragma unroll 1
    for (unsigned o = 0; o < p_.operands; ++o) {
      const ProductOperand& operand = p_.operand[o];
      const float* from =
          static_cast<const float*>(operand.data) + row_ * operand.row_step + column_ * operand.column_step;
      float* to = &extras_.operand[o][threadIdx.x];
      if (!operand.verdict)
        for (int row = row_; row < end_; row += kHigh, to += kThreads, from += kHigh * operand.row_step)
          copy_later<1>(to, from, is_inside());
      else
        fetch_targets(operand, to);
    }
    const unsigned i = threadIdx.x;
    if (i < 3 && p_.number[i])
      extras_.number[i] = p_.wide >> i & 1u ? static_cast<float>(*static_cast<const double*>(p_.number[i]))
                                            : *static_cast<const float*>(p_.number[i]);
  }
  // Puts sum(place in the tile) of each element into memory, and through the steps.
  template <class Sum>
  __device__ void put(Sum&& sum) {
    each<1>([&](int, float& y, int, int64_t at) {
      y = sum(&y);
      if (is_inside()) p_.out[at] = y;
    });
#pragma unroll 1
    for (unsigned s = 0; s < p_.steps; ++s) {
      const ProductStep& step = p_.step[s];
      if (step.function == kProductEntropy)
        put_entropy(step);
      else if (step.function == kProductEntropySlope)
        put_entropy_slope(step);
      else
        put_function(ProductFunctions{}, step);
    }
  }

 private:
  __device__ bool is_inside() const { return column_ < p_.b.lines; }
  // body(i, y, row, at) for each element y, so many at a time: what there is beside it is number i of the
  // thread's; it goes to place `at`.
  template <int kAtOnce, class Body>
  __device__ void each(Body&& body) const {
    float* y = tile_;
    int64_t at = start_;
    int i = threadIdx.x;
#pragma unroll kAtOnce
    for (int row = row_; row < end_;
         row += kHigh, y += kHigh * kSumsStep, at += kHigh * p_.b.lines, i += kThreads)
      body(i, *y, row, at);
  }
  __device__ void fetch_targets(const ProductOperand& operand, float* to) const {
    const IndexRange classes{"cross_entropy", p_.b.lines, false};
#pragma unroll 1
    for (int row = row_; row < end_; row += kHigh, to += kThreads)
      *to = __int_as_float(static_cast<int>(place_of(
          static_cast<const int64_t*>(operand.data)[row * operand.row_step], classes, operand.verdict)));
  }

  // By the function's number.
  template <class... Fs>
  __device__ void put_function(List<Fs...>, const ProductStep& step) const {
    unsigned number = 0;
    ((number++ == step.function ? apply<Fs>(step) : void()), ...);
  }
  template <class F>
  __device__ void apply(const ProductStep& step) const {
    using Fn = Function<F, float>;
    constexpr int kOperands = Fn::kIn - 1 - F::kAbout.numbers;
    const F f = pointwise::with_constants<F>(step.constants);
    each<(F::kAbout.numbers > 0 ? 2 : 1)>([&](int i, float& y, int, int64_t at) {
      typename Fn::V x[Fn::kIn];
#pragma unroll
      for (int k = 0; k < Fn::kIn; ++k) {
        const int other = k - (k > kProductInput<F>);
        x[k] = k == kProductInput<F> ? y
               : other < kOperands   ? extras_.operand[step.operand[other]][i]
                                     : extras_.number[other - kOperands];
      }
      float result[Fn::kOut];
      Fn::apply(f, x, result);
      y = result[0];
#pragma unroll
      for (int k = 0; k < Fn::kOut; ++k)
        if (is_inside()) step.out[k][at] = result[k];
    });
  }

  // What a thread has of a row: one number, or what does not count.
  struct Entry {
    float x;
    __device__ void each(auto&& body) const { body(x); }
  };
  __device__ Exponentials<float> exponentials(float y) const {
    return {Group<kWarp>(), Entry{is_inside() ? y : -std::numeric_limits<float>::infinity()}};
  }
  __device__ bool is_target(const ProductStep& step, int i) const {
    return is_inside() && __float_as_int(extras_.operand[step.operand[0]][i]) == column_;
  }
  __device__ void put_entropy(const ProductStep& step) const {
    each<1>([&](int i, float& y, int row, int64_t) {
      const auto e = exponentials(y);
      if (is_target(step, i)) step.out[0][row] = e.cross_entropy(y);
    });
  }
  __device__ void put_entropy_slope(const ProductStep& step) const {
    each<1>([&](int i, float& y, int, int64_t at) {
      y = exponentials(y).cross_entropy_slope(y, extras_.operand[step.operand[1]][i], is_target(step, i));
      if (is_inside()) step.out[0][at] = y;
    });
  }

  const SmallProduct::Parameters& p_;
  ProductExtras& extras_;
  int row_, end_, column_;
  float* tile_;
  int64_t start_;
};
static_assert(kProductTile == kWarp);

}  // namespace varve::cuda
