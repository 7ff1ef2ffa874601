// The sweep back through the record: nodes in order of depth, each vjp once, broadcasting undone, gradients
// summed.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include <varve/core/graph.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve {
namespace {

class Sweep {
 public:
  // Targets: collect these edges and go no further than they need. None: add to every leaf reached.
  Sweep(const Tensors& targets, GradOptions options) : options_(options), collect_(!targets.empty()) {
    for (const Tensor& t : targets) {
      if (!t.edge())
        throw Error("grad: an input does not require a gradient; call set_requires_grad on it first");
      wanted_.emplace(key(t.edge()), Tensor());
    }
  }

  void seed(const Tensor& output, const Tensor& seed) {
    if (!output.edge())
      throw Error(
          "backward: this tensor does not depend on any tensor that requires a gradient, or was made under "
          "no_grad");
    if (seed.defined() && seed.spec() != output.spec())
      throw ShapeError(fmt::format("backward: a seed {} for a tensor {}; they must be alike",
                                   to_string(seed.spec()), to_string(output.spec())));
    add(output.edge(), seed.defined() ? seed : ones_like(output.detach()));
  }

  void run() {
    if (collect_) mark_needed();
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      const std::shared_ptr<Node> node = std::move(queue_.back().node);
      queue_.pop_back();
      auto slot = slots_.extract(node.get());
      Tensors dy = std::move(slot.mapped());
      apply_hooks(*node, dy);
      collect(node, dy);
      if (!node->op) {
        if (!collect_) accumulate(node, dy[0]);
      } else if (!collect_ || leads_further(node.get())) {
        descend(node, dy);
      }
    }
  }

  Tensor gradient_of(const Tensor& target) const { return wanted_.at(key(target.edge())); }

 private:
  struct Entry {
    std::shared_ptr<Node> node;
    uint64_t found;  // the order of discovery breaks ties, so that sums have one order
    bool operator<(const Entry& o) const {
      return node->depth != o.node->depth ? node->depth < o.node->depth : found > o.found;
    }
  };
  struct Key {
    Node* node;
    uint32_t index;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& k) const { return std::hash<const void*>()(k.node) * 31 + k.index; }
  };
  static Key key(const Edge& e) { return {e.node.get(), e.index}; }

  void add(const Edge& edge, Tensor gradient) {
    const auto [slot, fresh] = slots_.try_emplace(edge.node.get());
    if (fresh) {
      slot->second.resize(edge.node->outputs.size());
      queue_.push_back({edge.node, found_++});
      std::push_heap(queue_.begin(), queue_.end());
    }
    Tensor& sum = slot->second[edge.index];
    sum = sum.defined() ? varve::add(sum, gradient) : std::move(gradient);
  }

  static void apply_hooks(const Node& node, Tensors& dy) {
    for (size_t i = 0, count = node.hooks.size(); i < count; ++i) {
      const auto [index, hook] = node.hooks[i];  // a copy: a hook may add hooks, for the next sweep
      if (!dy[index].defined()) continue;
      Tensor replaced = hook(dy[index]);
      if (!replaced.defined()) continue;
      if (replaced.spec() != dy[index].spec())
        throw ShapeError(fmt::format("hook: returned {} for a gradient {}; they must be alike",
                                     to_string(replaced.spec()), to_string(dy[index].spec())));
      dy[index] = std::move(replaced);
    }
  }

  void collect(const std::shared_ptr<Node>& node, const Tensors& dy) {
    if (!collect_) return;
    for (uint32_t i = 0; i < dy.size(); ++i)
      if (const auto it = wanted_.find({node.get(), i}); it != wanted_.end()) it->second = dy[i];
  }

  // A leaf's gradient is a tensor of its own: a second one is added in place.
  void accumulate(const std::shared_ptr<Node>& leaf, const Tensor& gradient) {
    reached_->push_back(leaf->value);
    leaf->reached = reached_;
    Trace* trace = Trace::current();
    if (trace) trace->touch_grad(leaf, false);
    if (leaf->grad.defined()) {
      const NoGrad guard;
      leaf->grad.assign(varve::add(leaf->grad, gradient));
      return;
    }
    const long holders = trace && trace->made(gradient) ? 2 : 1;  // the sweep's handle, and the trace's
    const bool own = gradient.value_ptr().use_count() <= holders &&
                     gradient.value().storage.use_count() == 1 && gradient.is_contiguous();
    leaf->grad = own ? gradient.detach() : no_grad([&] { return clone(gradient.detach()); });
  }

  // Whether a target lies beyond this node: a target that is itself the end is not differentiated, nor freed.
  bool leads_further(Node* node) const {
    const auto found = needed_.find(node);
    return found != needed_.end() && found->second;
  }

  void descend(const std::shared_ptr<Node>& node, Tensors& dy) {
    uint32_t wants = 0;
    for (size_t i = 0; i < node->inputs.size() && i < 32; ++i)
      if (const Edge& e = node->inputs[i].edge; e && (!collect_ || needed_.count(e.node.get())))
        wants |= 1u << i;
    const OnDevice on(
        std::find_if(dy.begin(), dy.end(), [](const Tensor& t) { return t.defined(); })->device());
    for (size_t i = 0; i < dy.size(); ++i)
      if (!dy[i].defined() && is_floating(node->outputs[i].spec.dtype))
        dy[i] = full(node->outputs[i].spec.shape, 0.0, node->outputs[i].spec.dtype);
    Tensors dx = differentiate(node, wants, dy);
    check_gradients(*node, dx);
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      const Node::Input& in = node->inputs[i];
      if (in.edge && i < dx.size() && dx[i].defined()) add(in.edge, matched(in.spec, std::move(dx[i])));
    }
    if (options_.retain) return;
    const auto free = [&](Past& past) { node->freed = std::exchange(past.value, nullptr) || node->freed; };
    std::ranges::for_each(node->inputs, free);
    std::ranges::for_each(node->outputs, free);
  }

  static Tensors differentiate(const std::shared_ptr<Node>& node, uint32_t wants, const Tensors& dy) {
    try {
      return node->op->vjp(Saved(node, wants), dy);
    } catch (const AnomalyError& e) {
      throw AnomalyError(fmt::format("{}; in the derivative of {}", e.what(), to_string(*node->op)));
    }
  }

  // A user's vjp may be wrong: say whose it was.
  static void check_gradients(const Node& node, const Tensors& dx) {
    const auto wrong = [&](const std::string& found) {
      throw ShapeError(fmt::format("backward: the derivative of {} gave {}", to_string(*node.op), found));
    };
    const bool too_few =
        !dx.empty() &&
        std::any_of(
            node.inputs.begin() + static_cast<std::ptrdiff_t>(std::min(dx.size(), node.inputs.size())),
            node.inputs.end(), [](const Node::Input& in) { return static_cast<bool>(in.edge); });
    if (dx.size() > node.inputs.size() || too_few)
      wrong(fmt::format("{} gradients for {} inputs; required is one each, undefined where none is wanted",
                        dx.size(), node.inputs.size()));
    for (size_t i = 0; i < dx.size(); ++i) {
      if (!node.inputs[i].edge || !dx[i].defined()) continue;
      const Shape &found = dx[i].shape(), &required = node.inputs[i].spec.shape;
      bool fits = found.rank() >= required.rank();
      for (int k = 0; fits && k < required.rank(); ++k)
        fits = required[k] == found[k + found.rank() - required.rank()] || required[k] == 1;
      if (!fits)
        wrong(fmt::format("a gradient {} for input {} of {}; required is that shape, or one it broadcasts to",
                          to_string(found), i, to_string(required)));
    }
  }

  // Undoes broadcasting: a vjp may return the shape its output had.
  static Tensor matched(const Spec& spec, Tensor dx) {
    if (dx.shape() != spec.shape) dx = sum_to(dx, spec.shape);
    if (dx.dtype() != spec.dtype) dx = cast(dx, spec.dtype);
    return dx;
  }

  // The nodes from which a target can be reached, found without recursion: in order of rising depth.
  void mark_needed() {
    std::vector<Node*> reached;
    std::unordered_map<Node*, bool> seen;
    for (const auto& [node, slot] : slots_) reached.push_back(node), seen[node] = true;
    for (size_t i = 0; i < reached.size(); ++i)
      for (const Node::Input& in : reached[i]->inputs)
        if (in.edge && !std::exchange(seen[in.edge.node.get()], true)) reached.push_back(in.edge.node.get());
    std::sort(reached.begin(), reached.end(), [](Node* a, Node* b) { return a->depth < b->depth; });
    for (const auto& [k, t] : wanted_) needed_[k.node] = false;
    for (Node* node : reached)
      for (const Node::Input& in : node->inputs)
        if (in.edge && needed_.count(in.edge.node.get())) needed_[node] = true;
  }

  GradOptions options_;
  bool collect_;
  const std::shared_ptr<std::vector<std::weak_ptr<const Value>>> reached_ =
      std::make_shared<std::vector<std::weak_ptr<const Value>>>();
  std::vector<Entry> queue_;  // a heap, the deepest on top
  std::unordered_map<Node*, Tensors> slots_;
  std::unordered_map<Key, Tensor, KeyHash> wanted_;
  std::unordered_map<Node*, bool> needed_;  // true: one of its inputs is needed too
  uint64_t found_ = 0;
};

}  // namespace

void Tensor::backward(const Tensor& seed, bool retain) const {
  const NoGrad guard;
  Sweep sweep({}, {.create_graph = false, .retain = retain});
  sweep.seed(*this, seed.detach());
  sweep.run();
}

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& seeds, GradOptions options) {
  if (inputs.empty()) throw Error("grad: no inputs given; name the tensors to differentiate by");
  if (!seeds.empty() && seeds.size() != outputs.size())
    throw Error(fmt::format("grad: {} seeds for {} outputs", seeds.size(), outputs.size()));
  const GradMode mode(options.create_graph);
  options.retain = options.retain || options.create_graph;
  Sweep sweep(inputs, options);
  for (size_t i = 0; i < outputs.size(); ++i) sweep.seed(outputs[i], seeds.empty() ? Tensor() : seeds[i]);
  sweep.run();
  Tensors gradients;
  for (const Tensor& t : inputs) gradients.push_back(sweep.gradient_of(t));
  return gradients;
}

Tensors vjp_of(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs, const Tensor& dy) {
  const bool higher = grad_enabled();
  const GradMode recording(true);
  Tensors own;  // handles of their own, joined to the caller's record by an identity where that is wanted
  Tensors leaves;
  for (const Tensor& t : inputs) {
    own.push_back(higher && t.requires_grad() ? alias_of(t) : t.detach());
    if (!own.back().requires_grad() && is_floating(t.dtype())) own.back().set_requires_grad();
    if (is_floating(t.dtype())) leaves.push_back(own.back());
  }
  const Tensor y = f(own);
  Tensors found = grad({y}, leaves, {dy}, {.create_graph = higher, .retain = false});
  Tensors out;
  for (size_t i = 0, k = 0; i < inputs.size(); ++i)
    out.push_back(is_floating(inputs[i].dtype()) ? found[k++] : Tensor());
  return out;
}

}  // namespace varve
