// apply: the one place where an op happens.
#include <fmt/format.h>

#include <varve/core/graph.h>
#include <varve/core/record.h>

namespace varve {
namespace {

using Outputs = Few<Tensor, 2>;

Few<View, 8> views_of(std::span<const Tensor> tensors) {
  return {tensors, [](const Tensor& t) { return t.view(); }};
}

std::string called(const AnyOp& op, size_t i, const Tensor& t) {
  const std::string& label = t.label();
  return label.empty() ? fmt::format("input {} of {}", i, op.name().name)
                       : fmt::format("'{}', input {} of {}", label, i, op.name().name);
}

Backend& common_backend(const AnyOp& op, std::span<const Tensor> in) {
  if (in.empty()) return backend_for(current_device());
  for (size_t i = 0; i < in.size(); ++i)
    if (!in[i].defined()) throw Error(fmt::format("{}: input {} is undefined", op.name().name, i));
  Backend& on = in[0].value().storage->backend();
  for (size_t i = 1; i < in.size(); ++i)
    if (&in[i].value().storage->backend() != &on && in[i].device() != on.device())
      throw DeviceError(fmt::format("{}: inputs on {} and {}; required is one device, move one with .to",
                                    op.name().name, to_string(on.device()), to_string(in[i].device())));
  return on;
}

// The labels of inputs that have one, to follow an op's message: " (of 'ln1.weight')".
std::string labels_of(std::span<const Tensor> in) {
  std::string labels;
  for (const Tensor& t : in)
    if (!t.label().empty()) labels += fmt::format("{}'{}'", labels.empty() ? "" : ", ", t.label());
  return labels.empty() ? "" : fmt::format(" (with {})", labels);
}

Specs infer_named(const AnyOp& op, std::span<const Tensor> in) {
  const Specs specs(in, [](const Tensor& t) { return t.spec(); });
  try {
    return op.infer(specs);
  } catch (const ShapeError& e) {
    throw ShapeError(e.what() + labels_of(in));
  } catch (const DTypeError& e) {
    throw DTypeError(e.what() + labels_of(in));
  }
}

Outputs compute(const AnyOp& op, Backend& backend, std::span<const Tensor> in, const Specs& specs) {
  Outputs out;
  const auto in_views = views_of(in);
  if (!in.empty()) {
    const auto& storage = in[0].value().storage;
    for (const View& v : op.alias(in_views[0])) {
      const int64_t offset = static_cast<std::byte*>(v.data) - storage->data();
      out.emplace_back(std::make_shared<const Value>(storage, offset, v.dtype, v.shape, v.strides));
    }
    if (!out.empty()) return out;
  }
  for (const Spec& spec : specs) out.emplace_back(make_value(backend, spec));
  const auto out_views = views_of(out);
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

void record(const AnyOp& op, std::span<const Tensor> in, Outputs& out) {
  const auto node = std::make_shared<Node>();
  node->op = op.share();
  const Keep keep = op.keep();
  const auto past = [](const Tensor& t, uint32_t kept, size_t i) {
    const bool keeps = i < 32 && ((kept >> i) & 1u);
    return Past{t.spec(), keeps ? t.value_ptr() : nullptr, t.value().storage->version()};
  };
  node->inputs.reserve(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const Edge& edge = node->inputs.emplace_back(Node::Input{past(in[i], keep.inputs, i), in[i].edge()}).edge;
    if (edge) node->depth = std::max(node->depth, edge.node->depth + 1);
  }
  node->outputs.reserve(out.size());
  for (size_t i = 0; i < out.size(); ++i) {
    node->outputs.push_back(past(out[i], keep.outputs, i));
    if (is_floating(out[i].dtype()))
      out[i] = Tensor(std::move(out[i]).value_ptr(), {node, static_cast<uint32_t>(i)});
  }
}

}  // namespace

// record.cpp
bool all_finite(std::span<const Tensor> tensors);
[[noreturn]] void throw_anomaly(const AnyOp& op, std::span<const Tensor> in);

namespace {

Outputs applied(const AnyOp& op, std::span<const Tensor> in) {
  Backend& backend = common_backend(op, in);
  const Specs specs = infer_named(op, in);
  if (op.updates()) check_updates(op, in);
  // An op without inputs makes what it was told to.
  const bool watched = DetectAnomaly::active() && !in.empty() && all_finite(in);
  Outputs out = compute(op, backend, in, specs);
  if (op.updates())
    for (size_t i = 0; i < in.size(); ++i)
      if (op.writes(i)) in[i].value().storage->bump_version();
  if (watched && !(all_finite(out) && (!op.updates() || all_finite(in)))) throw_anomaly(op, in);
  if (wants_gradient(op, in)) record(op, in, out);
  if (Trace* trace = Trace::current()) trace->append(op, in, out);
  return out;
}

}  // namespace

Tensors apply_op(const AnyOp& op, std::span<const Tensor> in) {
  Outputs out = applied(op, in);
  return {std::make_move_iterator(out.begin()), std::make_move_iterator(out.end())};
}

Tensor apply_one(const AnyOp& op, std::span<const Tensor> in) {
  Outputs out = applied(op, in);
  if (out.empty()) throw Error(fmt::format("{}: no output; required is one, use apply_op", op.name().name));
  return std::move(out[0]);
}

}  // namespace varve
