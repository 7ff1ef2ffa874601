// apply: the one place where an op happens.
#include <fmt/format.h>

#include <varve/core/graph.h>
#include <varve/core/record.h>

namespace varve {
namespace {

// A buffer of views on the stack for the usual few, on the heap for the rest.
class ViewList {
 public:
  explicit ViewList(std::span<const Tensor> tensors) : size_(tensors.size()) {
    if (size_ > kInPlace) more_.resize(size_);
    for (size_t i = 0; i < size_; ++i) data()[i] = tensors[i].view();
  }
  operator Views() const { return {size_ > kInPlace ? more_.data() : few_, size_}; }

 private:
  static constexpr size_t kInPlace = 8;
  View* data() { return size_ > kInPlace ? more_.data() : few_; }
  size_t size_;
  View few_[kInPlace];
  std::vector<View> more_;
};

std::string called(const AnyOp& op, size_t i, const Tensor& t) {
  const std::string& label = t.label();
  return label.empty() ? fmt::format("input {} of {}", i, op.name().name)
                       : fmt::format("'{}', input {} of {}", label, i, op.name().name);
}

Backend& common_backend(const AnyOp& op, std::span<const Tensor> in) {
  if (in.empty()) return backend_for(current_device());
  for (size_t i = 0; i < in.size(); ++i) {
    if (!in[i].defined()) throw Error(fmt::format("{}: input {} is undefined", op.name().name, i));
    if (in[i].device() != in[0].device())
      throw DeviceError(fmt::format("{}: inputs on {} and {}; required is one device, move one with .to",
                                    op.name().name, to_string(in[0].device()), to_string(in[i].device())));
  }
  return in[0].value().storage->backend();
}

// The labels of inputs that have one, to follow an op's message: " (of 'ln1.weight')".
std::string labels_of(std::span<const Tensor> in) {
  std::string labels;
  for (const Tensor& t : in)
    if (!t.label().empty()) labels += fmt::format("{}'{}'", labels.empty() ? "" : ", ", t.label());
  return labels.empty() ? "" : fmt::format(" (with {})", labels);
}

Specs infer_named(const AnyOp& op, std::span<const Tensor> in) {
  Specs specs;
  specs.reserve(in.size());
  for (const Tensor& t : in) specs.push_back(t.spec());
  try {
    return op.infer(specs);
  } catch (const ShapeError& e) {
    throw ShapeError(e.what() + labels_of(in));
  } catch (const DTypeError& e) {
    throw DTypeError(e.what() + labels_of(in));
  }
}

Tensors compute(const AnyOp& op, Backend& backend, std::span<const Tensor> in, const Specs& specs) {
  Tensors out;
  out.reserve(specs.size());
  if (!in.empty())
    if (const auto alias = op.alias(in[0].view())) {
      const Value& base = in[0].value();
      const int64_t offset = static_cast<std::byte*>(alias->data) - base.storage->data();
      out.emplace_back(std::make_shared<const Value>(
          Value{base.storage, offset, alias->dtype, alias->shape, alias->strides}));
      return out;
    }
  for (const Spec& spec : specs) out.emplace_back(make_value(backend, spec));
  const ViewList in_views(in), out_views(out);
  const size_t bytes = op.scratch(in_views, out_views);
  if (bytes == 0) {
    op.run(backend, in_views, out_views, {});
  } else {
    const ValuePtr scratch = make_value(backend, {DType::u8, {static_cast<int64_t>(bytes)}});
    op.run(backend, in_views, out_views, scratch->view());
  }
  return out;
}

void check_updates(const AnyOp& op, std::span<const Tensor> in) {
  for (size_t i = 0; i < in.size(); ++i) {
    if (!op.writes(i)) continue;
    if (grad_enabled() && in[i].requires_grad())
      throw Error(fmt::format(
          "{} writes in place, which is not recorded: do it under no_grad, or on a detached tensor",
          called(op, i, in[i])));
    if (is_broadcast(in[i].view()))
      throw Error(
          fmt::format("{} is broadcast, so its elements share memory and cannot be written; copy it with "
                      "clone first",
                      called(op, i, in[i])));
  }
}

bool wants_gradient(const AnyOp& op, std::span<const Tensor> in) {
  if (!grad_enabled() || !op.differentiable()) return false;
  for (const Tensor& t : in)
    if (t.requires_grad()) return true;
  return false;
}

void record(const AnyOp& op, std::span<const Tensor> in, const Specs& out_specs, Tensors& out) {
  auto node = std::make_shared<Node>();
  node->op = op.share();
  node->out_specs = out_specs;
  const Keep keep = op.keep();
  const auto kept = [](uint32_t mask, size_t i, const Tensor& t) -> SavedValue {
    if (i >= 32 || !((mask >> i) & 1u)) return {};
    return {t.value_ptr(), t.value().storage->version()};
  };
  for (size_t i = 0; i < in.size(); ++i) {
    node->in_specs.push_back(in[i].spec());
    node->inputs.push_back(in[i].edge());
    if (in[i].edge()) node->depth = std::max(node->depth, in[i].edge().node->depth + 1);
    if (keep.inputs) node->saved_in.push_back(kept(keep.inputs, i, in[i]));
  }
  for (size_t i = 0; i < out.size(); ++i)
    if (keep.outputs) node->saved_out.push_back(kept(keep.outputs, i, out[i]));
  for (size_t i = 0; i < out.size(); ++i)
    if (is_floating(out[i].dtype())) out[i] = Tensor(out[i].value_ptr(), {node, static_cast<uint32_t>(i)});
}

}  // namespace

// record.cpp
bool all_finite(std::span<const Tensor> tensors);
[[noreturn]] void throw_anomaly(const AnyOp& op, std::span<const Tensor> in);

Tensors apply_op(const AnyOp& op, std::span<const Tensor> in) {
  Backend& backend = common_backend(op, in);
  const Specs specs = infer_named(op, in);
  if (op.updates()) check_updates(op, in);
  // An op without inputs makes what it was told to.
  const bool watched = DetectAnomaly::active() && !in.empty() && all_finite(in);
  Tensors out = compute(op, backend, in, specs);
  if (op.updates())
    for (size_t i = 0; i < in.size(); ++i)
      if (op.writes(i)) in[i].value().storage->bump_version();
  if (watched && !(all_finite(out) && (!op.updates() || all_finite(in)))) throw_anomaly(op, in);
  if (wants_gradient(op, in)) record(op, in, specs, out);
  if (Trace* trace = Trace::current()) trace->append(op, in, out);
  return out;
}

}  // namespace varve
