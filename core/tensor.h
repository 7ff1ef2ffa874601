// Tensor: a handle to a value and to its place in the record of what was computed. Copies share both; whether
// a gradient is required is the handle's own.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include <varve/core/error.h>
#include <varve/core/storage.h>

namespace varve {

class Tensor;
using Tensors = std::vector<Tensor>;

// Where a tensor comes from: output `index` of `node`. An empty edge: no gradient flows here.
struct Node;
struct Edge {
  std::shared_ptr<Node> node;
  uint32_t index = 0;
  explicit operator bool() const { return node != nullptr; }
};

class VARVE_API Tensor {
 public:
  Tensor() = default;  // undefined: no value, only assignment and defined() are allowed
  explicit Tensor(ValuePtr value, Edge edge = {}) : value_(std::move(value)), edge_(std::move(edge)) {}

  bool defined() const { return value_ != nullptr; }
  const Shape& shape() const& { return value().shape; }
  Shape shape() const&& { return value().shape; }
  const Strides& strides() const& { return value().strides; }
  Strides strides() const&& { return value().strides; }
  DType dtype() const { return value().dtype; }
  Spec spec() const { return value().spec(); }
  int rank() const { return shape().rank(); }
  int64_t size(int64_t axis) const { return shape()[normalize_axis(axis, rank(), "size")]; }
  int64_t numel() const { return varve::numel(shape()); }
  Device device() const { return value().storage->backend().device(); }
  bool is_contiguous() const { return varve::is_contiguous(view()); }

  // The elements in index order; the tensor must be contiguous, of type T, on the CPU. Not while tracing.
  // Name the tensor first: the memory of a temporary goes with it.
  template <Element T>
  std::span<const T> data() const&& = delete;
  template <Element T>
  std::span<const T> data() const& {
    return {static_cast<const T*>(readable(dtype_of<T>)), static_cast<size_t>(numel())};
  }
  // The same for writing in place; counts as a new version of the value.
  template <Element T>
  std::span<T> mutable_data() const {
    return {static_cast<T*>(writable(dtype_of<T>)), static_cast<size_t>(numel())};
  }
  // The only element, converted; the tensor must have exactly one. Not while tracing.
  template <Element T = double>
  T item() const {
    T out;
    read_item(dtype_of<T>, &out);
    return out;
  }
  // The same elements on that device, contiguous and apart from the record; this tensor itself if it is
  // there. An error where a gradient is required (outside no_grad). Not while tracing.
  Tensor to(Device device) const;
  // The i-th along axis 0, as a view.
  Tensor operator[](int64_t i) const;

  // ---- gradients ----
  bool requires_grad() const { return static_cast<bool>(edge()); }
  // Makes this tensor a leaf whose gradient backward() fills (floating types only), or freezes that leaf:
  // until it is turned on again, it requires none and has none. Copies of the tensor share the leaf,
  // whichever is asked; a detached one does not.
  Tensor& set_requires_grad(bool on = true);
  bool is_leaf() const;
  // The gradient backward() left at this leaf, undefined if none. Replace it with set_grad, do not write into
  // it.
  const Tensor& grad() const;
  void set_grad(Tensor grad) const;
  void zero_grad() const { set_grad({}); }
  // The same value, apart from the record.
  Tensor detach() const { return Tensor(value_); }
  // Adds d(this)/d(leaf) times `seed` to the grad of every leaf it depends on. The seed (default: ones) has
  // this tensor's shape. Frees what the record keeps unless `retain`.
  void backward(const Tensor& seed = {}, bool retain = false) const;
  // Calls `hook` with the gradient of this tensor when backward computes it; what it returns, if defined,
  // replaces it.
  void on_grad(std::function<Tensor(const Tensor&)> hook) const;

  // ---- in place; not recorded, so an error where a gradient is required (outside no_grad) ----
  void assign(const Tensor& source) const;  // broadcast and converted; from any device
  void fill(double value) const;

  // What error messages call it; shared by all views of the storage.
  const std::string& label() const { return value().storage->label(); }
  void set_label(std::string label) const { value().storage->set_label(std::move(label)); }

  View view() const { return value().view(); }
  const Value& value() const {
    if (!value_) undefined();
    return *value_;
  }
  const ValuePtr& value_ptr() const& { return value_; }
  ValuePtr value_ptr() && { return std::move(value_); }
  // Where its gradient goes; empty where it requires none.
  const Edge& edge() const;

 private:
  [[noreturn]] static void undefined();
  const void* readable(DType dtype) const;
  void* writable(DType dtype) const;
  void read_item(DType dtype, void* out) const;

  ValuePtr value_;
  Edge edge_;
};

// Whether dtype, shape and every bit agree. Not while tracing.
VARVE_API bool identical(const Tensor& a, const Tensor& b);

// Values printed as NumPy does: 4 digits, long axes cut to their first and last three.
VARVE_API std::string to_string(const Tensor& tensor);
VARVE_API std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace varve
