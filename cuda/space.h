// Space: the elements a kernel visits, as few nested axes as the strides of all its operands allow; by value
// to the device.
#pragma once

#include <cstdint>

#include <varve/core/view.h>

namespace varve::cuda {

inline constexpr int kMaxOperands = 10;

struct Operand {
  std::byte* data;
  int64_t strides[kMaxRank];  // elements
  DType dtype;
};

struct Space {
  // Views of one shape.
  Space(const Shape& shape, Views first, Views second);

  int rank = 0, operands = 0;
  int64_t total = 1;
  int64_t size[kMaxRank];
  Operand operand[kMaxOperands];

  int64_t inner_stride(int i) const { return rank ? operand[i].strides[rank - 1] : 1; }
  // Where element `index` (in index order) of operand i lies, in elements.
  int64_t offset(int i, int64_t index) const;
  // Without that axis.
  Space without(int axis) const;
  // Where every operand allows, makes kWide bytes of neighbours along the last axis one element: whether it
  // did. Operands whose bit is set in `constant` are one element for all neighbours; the others have them
  // side by side.
  bool widen(size_t element_bytes, unsigned constant = 0);
  static constexpr int64_t kWide = 16;
};

#if defined(__CUDACC__)
// Where element `index` (in index order) of the first kCount operands lies, in elements.
template <class Index, int kCount>
__device__ void locate_as(const Space& space, Index index, int64_t (&at)[kCount]) {
#pragma unroll 1  // a short kernel waits for its own instructions, too
  for (int axis = space.rank - 1; axis > 0; --axis) {
    const Index size = static_cast<Index>(space.size[axis]), next = index / size;
    const int64_t here = static_cast<int64_t>(index - next * size);
#pragma unroll
    for (int k = 0; k < kCount; ++k) at[k] += here * space.operand[k].strides[axis];
    index = next;
  }
  if (space.rank > 0)
#pragma unroll
    for (int k = 0; k < kCount; ++k) at[k] += static_cast<int64_t>(index) * space.operand[k].strides[0];
}
template <int kCount>
__device__ void locate(const Space& space, int64_t index, int64_t (&at)[kCount]) {
#pragma unroll
  for (int k = 0; k < kCount; ++k) at[k] = 0;
  if (space.total <= INT32_MAX)  // narrow divisions are cheaper
    locate_as<uint32_t>(space, static_cast<uint32_t>(index), at);
  else
    locate_as<uint64_t>(space, static_cast<uint64_t>(index), at);
}
#endif

}  // namespace varve::cuda
