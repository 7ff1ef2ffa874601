// The record autograd keeps while you compute, and the sweep back through it.
//
// A node holds its op, the edges of its inputs, and the values its vjp asked to keep; a value has no edge, so
// no cycle can form. Leaves are nodes without an op: their gradient lies there. Destruction and backward use
// worklists.
#pragma once

#include <functional>

#include <varve/core/op.h>

namespace varve {

// What an input or output of an op was, its value where the vjp asked to keep it, and the version that it
// had.
struct Past {
  Spec spec;
  ValuePtr value;
  uint64_t version = 0;
};

struct Node {
  struct Input : Past {
    Edge edge;  // empty where no gradient is wanted
  };

  OpPtr op;            // null for a leaf
  uint64_t depth = 0;  // 1 + the deepest input: a topological order
  Few<Input, 2> inputs;
  Few<Past, 1> outputs;
  bool freed = false;  // a sweep has released the values

  // Of a leaf: its gradient, whether it takes none for now, what it is the leaf of, and all leaves that the
  // last sweep to reach it reached.
  Tensor grad;
  bool frozen = false;
  std::weak_ptr<const Value> value;
  std::shared_ptr<const std::vector<std::weak_ptr<const Value>>> reached;

  std::vector<std::pair<uint32_t, std::function<Tensor(const Tensor&)>>> hooks;  // by output

  Node() {}  // not defaulted, which would clear it all first
  VARVE_API ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};

// What a vjp sees of its op's past: specs always, values where keep() said so. Values come back with their
// edges.
class VARVE_API Saved {
 public:
  Saved(const std::shared_ptr<Node>& node, uint32_t wanted) : node_(node), wanted_(wanted) {}
  bool wants(size_t i) const { return i >= 32 || ((wanted_ >> i) & 1u); }
  const Spec& in_spec(size_t i) const { return node_->inputs[i].spec; }
  const Spec& out_spec(size_t i) const { return node_->outputs[i].spec; }
  size_t inputs() const { return node_->inputs.size(); }
  Tensor input(size_t i) const;
  Tensor output(size_t i) const;

 private:
  const std::shared_ptr<Node>& node_;
  uint32_t wanted_;
};

// d(sum of outputs times seeds)/d(inputs), returned and not accumulated; undefined for inputs not reached. An
// undefined seed means ones. create_graph records the sweep itself, so that its result can be differentiated
// again.
struct GradOptions {
  bool create_graph = false;
  bool retain = false;  // keep what the record saved, for another sweep
};
VARVE_API Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& seeds = {},
                       GradOptions = {});

// vjp of a function made of ops: re-records f at `inputs` and differentiates it. For ops whose run is a fused
// kernel of a formula; works to any order.
VARVE_API Tensors vjp_of(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                         const Tensor& dy);

// Whether ops are recorded for backward on this thread.
VARVE_API bool grad_enabled();

// While one lives, this thread does (not) record.
class VARVE_API GradMode {
 public:
  explicit GradMode(bool enabled);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool previous_;
};
class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};
// no_grad([&] { return model(x); })
template <class F>
decltype(auto) no_grad(F&& f) {
  const NoGrad guard;
  return std::forward<F>(f)();
}

// While one lives, every op on this thread is checked: the first to make a NaN or infinity of finite inputs,
// as a result or in place, is an AnomalyError that names it, and the derivative it was in. Compiled functions
// run op by op meanwhile.
class VARVE_API DetectAnomaly {
 public:
  DetectAnomaly();
  ~DetectAnomaly();
  DetectAnomaly(const DetectAnomaly&) = delete;
  DetectAnomaly& operator=(const DetectAnomaly&) = delete;
  static bool active();  // on this thread

 private:
  bool previous_;
};

}  // namespace varve
