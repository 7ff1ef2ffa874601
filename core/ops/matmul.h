// Matrix products.
#pragma once

#include <varve/core/op.h>

namespace varve {

// y = a b over the last two axes, either side transposed on the way in; leading axes broadcast.
struct Matmul {
  static constexpr OpName name{"matmul", 1};
  bool transpose_a = false, transpose_b = false;
  static void fields(auto& self, auto&& field) {
    field("transpose_a", self.transpose_a);
    field("transpose_b", self.transpose_b);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API size_t scratch(Views in, Views out) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  std::optional<RowUse> rows(Views in, Views) const {
    const Shape& a = in[0].shape;
    return RowUse{.whole = 2, .turned = transpose_a ? 1u : 0u, .terms = a[a.rank() - (transpose_a ? 2 : 1)]};
  }
  Keep keep() const { return {3, 0}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

// a [..., m, k] times b [..., k, n] gives [..., m, n]; f64, f32, f16 and bf16, the last two summed in f32. A
// vector counts as a row on the left and as a column on the right, transposed or not; that axis goes.
VARVE_API Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

}  // namespace varve
