#include <varve/core/graph.h>

#include <fmt/format.h>

#include <algorithm>

#include <varve/core/record.h>

namespace varve {
namespace {

thread_local Trace* open_trace = nullptr;

std::string numbers_text(const std::vector<uint32_t>& numbers) {
  std::string out;
  for (uint32_t n : numbers) out += fmt::format("{}%{}", out.empty() ? "" : ", ", n);
  return out;
}

}  // namespace

Trace::Trace(const Tensors& inputs) : outer_(open_trace) {
  for (const Tensor& t : inputs) graph_.inputs.push_back(add(t));
  open_trace = this;
}

Trace::~Trace() { open_trace = outer_; }

Trace* Trace::current() { return open_trace; }

void Trace::forbid_reading(const char* operation) {
  if (open_trace)
    throw Error(
        fmt::format("{}: reading a value while tracing; a replay would not see it. Compute with tensors, or "
                    "return the tensor and read it outside",
                    operation));
}

uint32_t Trace::add(const Tensor& tensor) {
  const auto number = static_cast<uint32_t>(values_.size());
  values_.push_back(tensor.value_ptr());
  graph_.values.push_back(tensor.spec());
  numbers_.emplace(values_.back().get(), number);
  return number;
}

uint32_t Trace::number_of(const Tensor& tensor) {
  const auto found = numbers_.find(tensor.value_ptr().get());
  if (found != numbers_.end()) return found->second;
  const uint32_t number = add(tensor);
  graph_.captured.push_back({number, tensor});
  return number;
}

void Trace::append(const AnyOp& op, std::span<const Tensor> in, std::span<const Tensor> out) {
  Graph::Call call{op.share(), {}, {}};
  for (const Tensor& t : in) call.in.push_back(number_of(t));
  for (const Tensor& t : out) call.out.push_back(add(t));
  graph_.calls.push_back(std::move(call));
}

void Trace::guard(const void* what, std::function<uint64_t()> state) {
  if (guarded_.insert(what).second) guards_.emplace_back(std::move(state));
}

void Trace::touch_grad(const std::shared_ptr<Node>& leaf, bool replaced) {
  if (touched_.insert(leaf.get()).second)
    leaf_grads_.push_back({leaf, !replaced, leaf->grad.value_ptr(), {}});
}

bool Trace::made(const Tensor& tensor) const { return numbers_.count(tensor.value_ptr().get()) != 0; }

bool Trace::computed(const Tensor& tensor) const {
  const auto found = numbers_.find(tensor.value_ptr().get());
  if (found == numbers_.end()) return false;
  for (const Graph::Call& call : graph_.calls)
    if (std::find(call.out.begin(), call.out.end(), found->second) != call.out.end())
      return call.in.empty() || values_[call.in[0]]->storage != tensor.value().storage;
  return false;
}

Graph Trace::finish(const Tensors& outputs) {
  for (const Tensor& t : outputs) graph_.outputs.push_back(number_of(t));
  for (LeafGrad& g : leaf_grads_) g.after = g.leaf->grad;
  return std::move(graph_);
}

Tensors as_trace_inputs(std::span<const Tensor> inputs) {
  Tensors own;
  for (const Tensor& t : inputs) own.emplace_back(std::make_shared<const Value>(t.value()), t.edge());
  return own;
}

Graph trace(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs) {
  const Tensors own = as_trace_inputs(inputs);
  Trace scope(own);
  return scope.finish(f(own));
}

Tensors Graph::run(const Tensors& in) const {
  if (in.size() != inputs.size())
    throw Error(fmt::format("graph: {} inputs given, {} required", in.size(), inputs.size()));
  const OnDevice on(in.empty() ? current_device() : in[0].device());
  Tensors now(values.size());
  for (size_t i = 0; i < in.size(); ++i) now[inputs[i]] = in[i];
  for (const Captured& c : captured) now[c.value] = c.tensor;
  Tensors arguments;
  for (const Call& call : calls) {
    arguments.clear();
    for (uint32_t n : call.in) arguments.push_back(now[n]);
    Tensors results = apply_op(*call.op, arguments);
    for (size_t i = 0; i < call.out.size(); ++i) now[call.out[i]] = std::move(results[i]);
  }
  Tensors results;
  for (uint32_t n : outputs) results.push_back(now[n]);
  return results;
}

void drop_dead_calls(Graph& graph) {
  std::vector<bool> live(graph.values.size());
  for (uint32_t n : graph.outputs) live[n] = true;
  std::vector<Graph::Call> kept;
  for (size_t i = graph.calls.size(); i-- > 0;) {
    Graph::Call& call = graph.calls[i];
    bool needed = call.op->updates() != 0;
    for (uint32_t n : call.out) needed = needed || live[n];
    if (!needed) continue;
    for (uint32_t n : call.in) live[n] = true;
    kept.push_back(std::move(call));
  }
  graph.calls.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  std::erase_if(graph.captured, [&](const Graph::Captured& c) { return !live[c.value]; });
}

namespace {

std::string call_text(const Graph& graph, size_t i) {
  if (i >= graph.calls.size()) return "nothing more";
  const Graph::Call& call = graph.calls[i];
  return fmt::format("{} of {}", to_string(*call.op), call.in.empty() ? "nothing" : numbers_text(call.in));
}

}  // namespace

void refuse_runs(const std::string& difference) {
  throw Error(fmt::format(
      "two runs of the function differ: {}. A replay would do what one of them did, whatever the host's code "
      "would do; make what changes a tensor or an argument, or call the plain function",
      difference));
}

void require_same_calls(const Graph& first, const Graph& second) {
  const auto same = [](const Graph::Call& a, const Graph::Call& b) {
    return same_op(*a.op, *b.op) && a.in == b.in && a.out == b.out;
  };
  for (size_t i = 0; i < std::max(first.calls.size(), second.calls.size()); ++i)
    if (i >= first.calls.size() || i >= second.calls.size() || !same(first.calls[i], second.calls[i]))
      refuse_runs(fmt::format("call {} was {}, then {}", i, call_text(first, i), call_text(second, i)));
  if (first.outputs != second.outputs) refuse_runs("other values were returned");
}

std::string to_string(const Graph& graph) {
  std::string out;
  for (uint32_t n : graph.inputs) out += fmt::format("%{}: {} = input\n", n, to_string(graph.values[n]));
  for (const Graph::Captured& c : graph.captured)
    out +=
        fmt::format("%{}: {} = captured {}\n", c.value, to_string(graph.values[c.value]), c.tensor.label());
  for (const Graph::Call& call : graph.calls) {
    for (size_t i = 0; i < call.out.size(); ++i)
      out += fmt::format("{}%{}: {}", i ? ", " : "", call.out[i], to_string(graph.values[call.out[i]]));
    std::string text = to_string(*call.op);  // the op's attributes follow its inputs
    const std::string in = numbers_text(call.in);
    text.insert(text.find('(') + 1, text.ends_with("()") || in.empty() ? in : in + ", ");
    out += fmt::format("{}{}\n", call.out.empty() ? "" : " = ", text);
  }
  return out + fmt::format("return {}\n", numbers_text(graph.outputs));
}

}  // namespace varve
