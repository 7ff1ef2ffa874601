#include <varve/core/tensor.h>

#include <fmt/format.h>

#include <cstring>

#include <varve/core/graph.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve {

void Tensor::undefined() { throw Error("tensor: undefined; it was default-constructed or moved from"); }

const void* Tensor::readable(DType dtype) const {
  Trace::forbid_reading("data");
  const View v = view();
  if (v.dtype != dtype)
    throw DTypeError(fmt::format("data: read as {}, the tensor is {}; ask for that type, or cast",
                                 name_of(dtype), name_of(v.dtype)));
  if (device() != kCpu)
    throw DeviceError(
        fmt::format("data: the tensor is on {}, the host sees what is on the CPU; call .to(kCpu) first",
                    to_string(device())));
  if (!varve::is_contiguous(v))
    throw ShapeError(fmt::format("data: shape {} with strides {} is not contiguous; use contiguous(x)",
                                 to_string(v.shape), to_string(v.strides)));
  return v.data;
}

void* Tensor::writable(DType dtype) const {
  readable(dtype);
  value().storage->bump_version();
  return view().data;
}

void Tensor::read_item(DType dtype, void* out) const {
  Trace::forbid_reading("item");
  if (numel() != 1)
    throw ShapeError(
        fmt::format("item: shape {} has {} elements; required is one", to_string(shape()), numel()));
  alignas(8) std::byte element[8];
  const View v = view();
  value().storage->backend().download(v.data, element, size_of(v.dtype));
  cpu_backend().copy({element, v.dtype, v.shape, v.strides}, contiguous_view(out, {dtype, shape()}));
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  Trace::forbid_reading("to");
  if (grad_enabled() && requires_grad())
    throw Error(
        "to: this tensor requires a gradient, which moving it would lose: move x.detach(), or the module "
        "before it is "
        "trained");
  if (device != kCpu && this->device() != kCpu) return to(kCpu).to(device);
  const Tensor from = no_grad([&] { return contiguous(detach()); });
  const ValuePtr moved = make_value(backend_for(device), spec());
  std::byte* const data = moved->storage->data();
  if (device == kCpu)
    from.value().storage->backend().download(from.view().data, data, spec().bytes());
  else
    moved->storage->backend().upload(from.view().data, data, spec().bytes());
  return Tensor(moved);
}

bool identical(const Tensor& a, const Tensor& b) {
  Trace::forbid_reading("identical");
  if (a.spec() != b.spec()) return false;
  const Tensor x = contiguous(a.detach().to(kCpu)), y = contiguous(b.detach().to(kCpu));
  return std::memcmp(x.view().data, y.view().data, x.spec().bytes()) == 0;
}

Tensor Tensor::operator[](int64_t i) const { return select(*this, 0, i); }

// ---- gradients ----

const Edge& Tensor::edge() const {
  static const Edge none;
  if (!edge_ || edge_.node->op) return edge_;
  // What a trace finds of a leaf must hold for its replays.
  if (Trace* trace = Trace::current())
    trace->guard(edge_.node.get(), [leaf = edge_.node] { return 2 * leaf->hooks.size() + leaf->frozen; });
  return edge_.node->frozen ? none : edge_;
}

Tensor& Tensor::set_requires_grad(bool on) {
  if (edge_) {
    if (!on && edge_.node->op) throw Error("set_requires_grad: only a leaf can stop; use detach()");
    edge();  // noted by a trace as it was before
    if (!on) edge_.node->grad = {};
    edge_.node->frozen = !on;
  } else if (on) {
    if (!is_floating(dtype()))
      throw DTypeError(
          fmt::format("set_requires_grad: dtype {}; required is a floating type", name_of(dtype())));
    edge_.node = std::make_shared<Node>();
    edge_.node->outputs = {{spec(), nullptr, 0}};
    edge_.node->value = value_;
  }
  return *this;
}

bool Tensor::is_leaf() const { return !edge_ || !edge_.node->op; }

const Tensor& Tensor::grad() const {
  static const Tensor none;
  if (!is_leaf() || !edge()) return none;
  if (Trace* trace = Trace::current()) trace->touch_grad(edge_.node, false);
  return edge_.node->grad;
}

void Tensor::set_grad(Tensor grad) const {
  if (!is_leaf() || !edge()) {
    if (!grad.defined()) return;
    throw Error("set_grad: this tensor is not a leaf that requires a gradient");
  }
  if (grad.defined() && grad.spec() != spec())
    throw ShapeError(fmt::format("set_grad: a gradient {} for a tensor {}; they must be alike",
                                 to_string(grad.spec()), to_string(spec())));
  if (Trace* trace = Trace::current()) trace->touch_grad(edge_.node, true);
  // Its own memory: backward adds to it in place.
  const bool own = grad.defined() && grad.value_ptr().use_count() == 1 &&
                   grad.value().storage.use_count() == 1 && grad.is_contiguous();
  edge_.node->grad = !grad.defined() ? Tensor()
                     : own           ? grad.detach()
                                     : no_grad([&] { return clone(grad.detach()); });
}

void Tensor::on_grad(std::function<Tensor(const Tensor&)> hook) const {
  if (!edge()) throw Error("on_grad: this tensor does not require a gradient");
  edge_.node->hooks.emplace_back(edge_.index, std::move(hook));
}

void Tensor::assign(const Tensor& source) const {
  if (grad_enabled() && source.requires_grad())
    throw Error(
        "assign: the source requires a gradient, which writing in place would lose: do it under no_grad, or "
        "assign source.detach()");
  // Another view of the same memory is read before any of it is written.
  const bool shared = source.value().storage == value().storage;
  apply_op(Assign{}, {*this, shared ? clone(source.detach()) : source.detach().to(device())});
}

void Tensor::fill(double value) const {
  const OnDevice on(device());
  assign(full({}, value, dtype()));
}

}  // namespace varve
