// Whether two tensors have one dtype, one shape and the same bits, wherever they lie.
#pragma once

#include <cstring>

#include <varve/core/ops/copy.h>

namespace varve::test {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.spec() != b.spec()) return false;
  const Tensor x = contiguous(a.detach()), y = contiguous(b.detach());
  return std::memcmp(x.view().data, y.view().data, x.spec().bytes()) == 0;
}

}  // namespace varve::test
