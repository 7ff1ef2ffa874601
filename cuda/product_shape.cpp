#include <varve/cuda/product_shape.h>

#include <varve/core/axes.h>

namespace varve::cuda {
namespace {

// Of a matrix of [height, width]. A stride along an axis of size 1 means nothing, so it must not decide.
ProductFactor factor_of(int64_t height, int64_t width, int64_t row_stride, int64_t column_stride) {
  if (width == 1 || column_stride == 1) return {false, height == 1 ? width : std::max(row_stride, width)};
  return {true, std::max(column_stride, height)};
}

int64_t lowest_bit(uint64_t x) { return static_cast<int64_t>(x & (~x + 1)); }

Space starts_of(const View& a, const View& b, const View& out) {
  const View starts[] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  return Space(starts[2].shape, Views(starts, 3), {});
}

}  // namespace

size_t ProductHash::operator()(const ProductShape& s) const {
  uint64_t hash = 0;
  const auto mix = [&hash](auto... values) {
    ((hash = (hash ^ static_cast<uint64_t>(values)) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29), ...);
  };
  mix(s.dtype, s.tf32, s.m, s.n, s.k, s.a.turned, s.a.leading, s.b.turned, s.b.leading, s.out_leading,
      s.count);
  for (size_t i = 0; i < s.steps.size(); ++i) mix(s.steps[i], s.aligned[i]);
  return static_cast<size_t>(hash);
}

Products::Products(const View& a, const View& b, const View& out, bool tf32, int64_t most_lines,
                   int64_t most_count)
    : dtype_(out.dtype),
      tf32_(tf32 && out.dtype == DType::f32),
      m_(out.shape[out.rank() - 2]),
      n_(out.shape[out.rank() - 1]),
      k_(a.shape[a.rank() - 1]),
      most_lines_(most_lines),
      most_count_(most_count),
      a_{a.strides[a.rank() - 2], a.strides[a.rank() - 1]},
      b_{b.strides[b.rank() - 2], b.strides[b.rank() - 1]},
      batches_(starts_of(a, b, out)) {
  fold_batch();
}

// One b for many a: all their rows are those of one product, where they lie evenly.
void Products::fold_batch() {
  if (batches_.rank == 0 || batches_.inner_stride(1) != 0) return;
  const int64_t count = batches_.size[batches_.rank - 1], step = batches_.inner_stride(0);
  if (m_ > 1 ? step != m_ * a_.rows : step < k_ || a_.columns != 1) return;
  a_.rows = m_ > 1 ? a_.rows : step;
  m_ *= count;
  batches_ = batches_.without(batches_.rank - 1);
}

// As many as lie evenly, one after the other.
int64_t Products::count_from(int64_t batch) const {
  if (batches_.rank == 0 || batches_.inner_stride(0) < 0 || batches_.inner_stride(1) < 0) return 1;
  const int64_t inner = batches_.size[batches_.rank - 1];
  return std::min(inner - batch % inner, most_count_);
}

Product Products::part(int64_t batch, int64_t count, int64_t i, int64_t j, int64_t p) const {
  const auto size = [this](int64_t all, int64_t from) { return std::min(all - from, most_lines_); };
  Product product{
      {dtype_, tf32_, size(m_, i), size(n_, j), size(k_, p), {}, {}, n_, count, {}, {}}, {}, p > 0};
  ProductShape& shape = product.shape;
  shape.a = factor_of(shape.m, shape.k, a_.rows, a_.columns);
  shape.b = factor_of(shape.k, shape.n, b_.rows, b_.columns);
  const int64_t within[] = {i * a_.rows + p * a_.columns, p * b_.rows + j * b_.columns, i * n_ + j};
  const auto bytes = static_cast<int64_t>(size_of(dtype_));
  for (size_t x = 0; x < 3; ++x) {
    const int operand = static_cast<int>(x);
    product.at[x] = batches_.operand[x].data + (batches_.offset(operand, batch) + within[x]) * bytes;
    shape.steps[x] = count > 1 ? batches_.inner_stride(operand) : 0;
    shape.aligned[x] = lowest_bit(reinterpret_cast<uintptr_t>(product.at[x]) |
                                  static_cast<uint64_t>(shape.steps[x] * bytes) |
                                  static_cast<uint64_t>(ProductShape::kMostAligned));
  }
  return product;
}

}  // namespace varve::cuda
