#include <varve/core/ops/matmul.h>

#include <fmt/format.h>

#include <varve/core/ops/dense_copies.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve {
namespace {

View last_two_swapped(View v) {
  const int r = v.rank();
  std::swap(v.shape[r - 2], v.shape[r - 1]);
  std::swap(v.strides[r - 2], v.strides[r - 1]);
  return v;
}

// Whether the kernel can read it as it is: rows or columns without gaps, none of them broadcast.
bool readable(const View& v) {
  const int r = v.rank();
  const auto unit = [&](int axis) { return v.strides[axis] == 1 || v.shape[axis] <= 1; };
  const auto forward = [&](int axis) { return v.strides[axis] > 0 || v.shape[axis] <= 1; };
  return (unit(r - 1) || unit(r - 2)) && forward(r - 1) && forward(r - 2);
}

Shape batch_of(const Shape& shape) {
  Shape batch = shape;
  batch.erase(batch.rank() - 1);
  batch.erase(batch.rank() - 1);
  return batch;
}

// v with its leading axes broadcast to those of `out`.
View over_batch(const View& v, const View& out) {
  Shape shape = out.shape;
  shape[shape.rank() - 2] = v.shape[v.rank() - 2];
  shape[shape.rank() - 1] = v.shape[v.rank() - 1];
  return expanded(v, shape);
}

}  // namespace

Specs Matmul::infer(const Specs& in) const {
  require_inputs(in, 2, "matmul");
  const Shape &a = in[0].shape, &b = in[1].shape;
  if (a.rank() < 2 || b.rank() < 2)
    throw ShapeError(fmt::format("matmul: cannot multiply {} by {}; both need at least 2 axes", to_string(a),
                                 to_string(b)));
  if (in[0].dtype != in[1].dtype)
    throw DTypeError(
        fmt::format("matmul: dtypes {} and {} differ; cast one", name_of(in[0].dtype), name_of(in[1].dtype)));
  if (!is_floating(in[0].dtype))
    throw DTypeError(
        fmt::format("matmul: dtype {}; required is a floating type, cast first", name_of(in[0].dtype)));
  const int ra = a.rank(), rb = b.rank();
  const int64_t m = a[transpose_a ? ra - 1 : ra - 2], ka = a[transpose_a ? ra - 2 : ra - 1];
  const int64_t kb = b[transpose_b ? rb - 1 : rb - 2], n = b[transpose_b ? rb - 2 : rb - 1];
  if (ka != kb)
    throw ShapeError(fmt::format("matmul: cannot multiply {}{} by {}{}; inner sizes {} and {} differ",
                                 to_string(a), transpose_a ? " transposed" : "", to_string(b),
                                 transpose_b ? " transposed" : "", ka, kb));
  Shape out = broadcast(batch_of(a), batch_of(b), "matmul");
  out.push_back(m);
  out.push_back(n);
  return {{in[0].dtype, out}};
}

size_t Matmul::scratch(Views in, Views) const {
  size_t bytes = 0;
  for (const View& v : in)
    if (!readable(v)) bytes += DenseCopies::bytes(v);
  return bytes;
}

void Matmul::run(Backend& on, Views in, Views out, const View& scratch) const {
  DenseCopies copies(on, scratch);
  const auto prepared = [&](const View& v, bool transposed) {
    const View x = readable(v) ? v : copies.of(v);
    return over_batch(transposed ? last_two_swapped(x) : x, out[0]);
  };
  const View a = prepared(in[0], transpose_a), b = prepared(in[1], transpose_b);
  on.matmul(a, b, out[0]);
}

Tensors Matmul::vjp(const Saved& s, const Tensors& dy) const {
  Tensors dx(2);
  if (s.wants(0)) {
    const Tensor b = s.input(1);
    dx[0] = transpose_a ? matmul(b, dy[0], transpose_b, true) : matmul(dy[0], b, false, !transpose_b);
  }
  if (s.wants(1)) {
    Tensor a = s.input(0), dc = dy[0];
    if (!transpose_a && s.in_spec(1).shape.rank() == 2)  // one b for a batch: all its rows in one product
      a = flatten(a, 0, -2), dc = flatten(dc, 0, -2);
    dx[1] = transpose_b ? matmul(dc, a, true, transpose_a) : matmul(a, dc, !transpose_a, false);
  }
  return dx;
}

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  const bool row = a.rank() == 1, column = b.rank() == 1;
  Tensor y = apply_one(Matmul{transpose_a && !row, transpose_b && !column},
                       {row ? unsqueeze(a, 0) : a, column ? unsqueeze(b, 1) : b});
  if (column) y = squeeze(y, -1);
  return row ? squeeze(y, column ? -1 : -2) : y;
}

}  // namespace varve
