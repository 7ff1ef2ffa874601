// View: how kernels see a tensor. It owns nothing; whoever calls the kernel keeps the data alive.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <varve/core/dtype.h>
#include <varve/core/shape.h>

namespace varve {

// What a tensor is without its data.
struct Spec {
  DType dtype = DType::f32;
  Shape shape;
  friend bool operator==(const Spec&, const Spec&) = default;
  size_t bytes() const { return static_cast<size_t>(numel(shape)) * size_of(dtype); }
};
VARVE_API std::string to_string(const Spec& spec);  // "f32[64, 784]"

struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  Strides strides;

  int rank() const { return shape.rank(); }
  int64_t numel() const { return varve::numel(shape); }
  Spec spec() const { return {dtype, shape}; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  // This view moved by `elements`.
  View at(int64_t elements) const {
    View moved = *this;
    moved.data = static_cast<std::byte*>(data) + elements * static_cast<int64_t>(size_of(dtype));
    return moved;
  }
};

using Views = std::span<const View>;

// Row-major without gaps: elements lie in index order.
VARVE_API bool is_contiguous(const View& view);
// Whether elements share memory, as broadcasting makes them: such a view cannot be written to.
VARVE_API bool is_broadcast(const View& view);
// A contiguous view of `spec` over `data`.
VARVE_API View contiguous_view(void* data, const Spec& spec);
// The same elements seen with shape `shape`, by stride 0 where broadcast. `shape` must be what broadcasting
// gives.
VARVE_API View expanded(const View& view, const Shape& shape);

}  // namespace varve
