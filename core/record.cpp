#include <varve/core/record.h>

#include <fmt/format.h>

#include <varve/core/graph.h>
#include <varve/core/pointwise_kernels.h>

namespace varve {
namespace {

struct ThreadModes {
  bool grad = true, anomaly = false;
  std::vector<std::shared_ptr<Node>>* doomed = nullptr;  // set while a chain of nodes is being destroyed
};
thread_local ThreadModes modes;

// Kernels, not ops: a trace that is open must not see them.
bool is_finite(const Tensor& t) {
  if (!is_floating(t.dtype()) || t.numel() == 0) return true;
  Backend& on = t.value().storage->backend();
  const View x = t.view(), operands[] = {x, x};
  // x - x is 0 for finite x and NaN otherwise, so the sum is 0 or NaN.
  const ValuePtr zeros = make_value(on, t.spec());
  const ValuePtr sum = make_value(on, {t.dtype(), Shape::filled(t.rank(), 1)});
  const View zeros_view = zeros->view();
  on.pointwise(pointwise::id_of<pointwise::Sub>, {}, operands, Views(&zeros_view, 1));
  on.reduce(ReduceFn::sum, zeros_view, sum->view());
  const ValuePtr wide = make_value(on, {DType::f64, sum->shape});
  on.copy(sum->view(), wide->view());
  double value = 0;
  on.download(wide->view().data, &value, sizeof value);
  return value == 0;
}

}  // namespace

// A chain of a million nodes must not be destroyed by recursion: the first to go collects in a list those
// that go with it. One that others still hold is let go at once; should it be the last hold after all, it
// adds to the list.
Node::~Node() {
  if (inputs.empty()) return;
  std::vector<std::shared_ptr<Node>> doomed;
  const bool first = !modes.doomed;
  if (first) modes.doomed = &doomed;
  for (Input& in : inputs) {
    if (in.edge.node.use_count() == 1)
      modes.doomed->push_back(std::move(in.edge.node));
    else
      in.edge.node.reset();
  }
  if (!first) return;
  while (!doomed.empty()) {
    const std::shared_ptr<Node> next = std::move(doomed.back());
    doomed.pop_back();
  }
  modes.doomed = nullptr;
}

bool grad_enabled() { return modes.grad; }

GradMode::GradMode(bool enabled) : previous_(modes.grad) { modes.grad = enabled; }
GradMode::~GradMode() { modes.grad = previous_; }

DetectAnomaly::DetectAnomaly() : previous_(modes.anomaly) { modes.anomaly = true; }
DetectAnomaly::~DetectAnomaly() { modes.anomaly = previous_; }

bool DetectAnomaly::active() { return modes.anomaly; }

bool all_finite(std::span<const Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return is_finite(t); });
}

void throw_anomaly(const AnyOp& op, std::span<const Tensor> in) {
  std::string inputs;
  for (const Tensor& t : in)
    inputs += fmt::format("{}{}{}{}", inputs.empty() ? "" : ", ", t.label(), t.label().empty() ? "" : ": ",
                          to_string(t.spec()));
  throw AnomalyError(
      fmt::format("anomaly: {} made a NaN or infinity of finite inputs ({})", to_string(op), inputs));
}

// ---- saved values ----

namespace {

const ValuePtr& checked(const Node& node, const Past* past, size_t i, const char* what) {
  if (node.freed)
    throw Error(fmt::format("backward: what {} kept was freed by an earlier sweep; pass retain to keep it",
                            node.op->name().name));
  if (!past || !past->value)
    throw Error(
        fmt::format("{}: vjp reads {} {}, which keep() does not name", node.op->name().name, what, i));
  const Storage& storage = *past->value->storage;
  if (storage.version() != past->version)
    throw Error(
        fmt::format("backward: {} {} of {}{}{} was changed in place after it was used (version {}, kept {}); "
                    "change a clone, or after backward",
                    what, i, node.op->name().name, storage.label().empty() ? "" : ", ", storage.label(),
                    storage.version(), past->version));
  return past->value;
}

}  // namespace

Tensor Saved::input(size_t i) const {
  const Node::Input* in = i < inputs() ? &node_->inputs[i] : nullptr;
  return Tensor(checked(*node_, in, i, "input"), in->edge);
}

Tensor Saved::output(size_t i) const {
  const Past* out = i < node_->outputs.size() ? &node_->outputs[i] : nullptr;
  return Tensor(checked(*node_, out, i, "output"), {node_, static_cast<uint32_t>(i)});
}

}  // namespace varve
