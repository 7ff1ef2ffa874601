// Graph: a trace of ops as data. It can be printed, pruned, run again on new inputs, saved, and compiled into
// a Plan.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <varve/core/op.h>

namespace varve {

struct VARVE_API Graph {
  struct Call {
    OpPtr op;
    std::vector<uint32_t> in, out;  // value numbers
  };
  // A tensor the traced function used and did not make: a parameter, a buffer, an optimizer's moment.
  struct Captured {
    uint32_t value;
    Tensor tensor;
  };

  std::vector<Spec> values;  // by value number
  std::vector<Call> calls;   // in the order they ran
  std::vector<uint32_t> inputs, outputs;
  std::vector<Captured> captured;

  // Applies the calls to new inputs, as if the traced function ran again: recorded for backward, and traced.
  Tensors run(const Tensors& in) const;
};

// The same tensors with a value apiece, even where one is given twice: what a trace numbers as its inputs.
VARVE_API Tensors as_trace_inputs(std::span<const Tensor> inputs);
// Runs f(inputs) once and returns what it did.
VARVE_API Graph trace(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs);
// Drops calls that neither lead to an output nor write in place.
VARVE_API void drop_dead_calls(Graph& graph);
// "%3: f32[64, 256] = matmul(%0, %1, transpose_b=true)", a line each.
VARVE_API std::string to_string(const Graph& graph);

// A leaf whose gradient the traced function read or replaced: what it must be before a replay, and is after
// one.
struct LeafGrad {
  std::shared_ptr<Node> leaf;
  bool read;  // before it was replaced: then `before` matters
  ValuePtr before;
  Tensor after;
};

// An Error that says where they part, unless both runs did the same calls, with the same attributes on the
// same values.
VARVE_API void require_same_calls(const Graph& first, const Graph& second);
[[noreturn]] VARVE_API void refuse_runs(const std::string& difference);

// Host state that a traced function read: a plan is only replayed while it is what it was then.
class Guard {
 public:
  explicit Guard(std::function<uint64_t()> state) : state_(std::move(state)), was_(state_()) {}
  bool holds() const { return state_() == was_; }

 private:
  std::function<uint64_t()> state_;
  uint64_t was_;
};

// While one lives, every op this thread applies is appended to its graph, and reading a value is an Error.
class VARVE_API Trace {
 public:
  // The tensors stand for the inputs; each is the value of exactly one of them.
  explicit Trace(const Tensors& inputs);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // The trace open on this thread, or null.
  static Trace* current();
  // Throws when a trace is open on this thread: a replay would not see what host code reads now.
  static void forbid_reading(const char* operation);

  void append(const AnyOp& op, std::span<const Tensor> in, std::span<const Tensor> out);
  // The function read host state (a layer's mode, whether a leaf is frozen), known by `what`; the first time
  // counts.
  void guard(const void* what, std::function<uint64_t()> state);
  // The function reads, or replaces, the gradient at a leaf.
  void touch_grad(const std::shared_ptr<Node>& leaf, bool replaced);
  bool made(const Tensor& tensor) const;
  // Whether a call computed it, into memory of its own: it is no view, no input and not captured.
  bool computed(const Tensor& tensor) const;

  Graph finish(const Tensors& outputs);
  // After finish: the values behind the numbers, and the guards with what was read.
  const std::vector<ValuePtr>& values() const { return values_; }
  const std::vector<Guard>& guards() const { return guards_; }
  const std::vector<LeafGrad>& leaf_grads() const { return leaf_grads_; }

 private:
  uint32_t number_of(const Tensor& tensor);
  uint32_t add(const Tensor& tensor);

  Graph graph_;
  std::vector<ValuePtr> values_;
  std::unordered_map<const Value*, uint32_t> numbers_;
  std::vector<Guard> guards_;
  std::vector<LeafGrad> leaf_grads_;
  std::unordered_set<const Node*> touched_;
  std::unordered_set<const void*> guarded_;
  Trace* outer_;
};

}  // namespace varve
