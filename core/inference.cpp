#include <varve/core/inference.h>

#include <fmt/format.h>

#include <algorithm>

#include <varve/core/ops/copy.h>

namespace varve {
namespace {

// What f gives, each in memory of its own that a call computes, so that it may lie anywhere.
Tensors own_results(const std::function<Tensors(const Tensors&)>& f, const Tensors& in) {
  Tensors results = f(in), own;
  for (const Tensor& t : results) {
    const auto is_it = [&](const Tensor& other) { return other.value_ptr() == t.value_ptr(); };
    const bool given = std::any_of(own.begin(), own.end(), is_it);
    own.push_back(given || !Trace::current()->computed(t) ? clone(t.detach()) : t);
  }
  return own;
}

// Of a tensor that is written and that the function did not make, or made and left with somebody.
std::string described(const Graph& graph, const Storage* written) {
  for (const Graph::Captured& c : graph.captured)
    if (c.tensor.value().storage.get() == written)
      return "writes to " +
             (written->label().empty() ? to_string(c.tensor.spec()) : fmt::format("'{}'", written->label()));
  return "keeps a tensor that it computes, for others than its caller";
}

}  // namespace

std::shared_ptr<const Plan> Inference::planned(const Function& f, const Tensors& examples) {
  const NoGrad guard;
  Tensors inputs;
  for (const Tensor& t : examples) inputs.push_back(contiguous(t.detach()));
  const auto traced = [&](const Tensors& in) { return own_results(f, in); };
  const auto plan = std::make_shared<Plan>(traced, inputs);
  const auto refuse = [](const std::string& what) {
    throw Error(
        fmt::format("inference: the function {}, which threads would share; required is one that only "
                    "reads: call eval(model) before, and let compile train",
                    what));
  };
  if (!plan->written_inputs_.empty()) refuse("writes to its input");
  if (!plan->leaf_grads_.empty()) refuse("changes gradients of leaves");
  for (const Storage* s : plan->written_)
    if (std::none_of(plan->outputs_.begin(), plan->outputs_.end(),
                     [&](const Tensor& t) { return t.value().storage.get() == s; }))
      refuse(described(plan->graph_, s));
  Plan(traced, inputs).check_repeats(*plan);
  plan->traced_.reset();
  return plan;
}

const std::shared_ptr<const Plan>& Inference::shared() const {
  if (!plan_) throw Error("inference: moved from; only assignment is allowed");
  return plan_;
}

Specs Inference::inputs() const {
  return {plan().graph_.inputs, [&](uint32_t v) { return plan_->graph_.values[v]; }};
}

Specs Inference::outputs() const {
  return {plan().graph_.outputs, [&](uint32_t v) { return plan_->graph_.values[v]; }};
}

void Lent::check(const Spec& required, const Backend& on, const char* what, size_t number) const {
  const auto refuse = [&](const std::string& found) {
    throw ShapeError(fmt::format("inference: {} {} is {}; required is {}, contiguous, or as many elements",
                                 what, number, found, to_string(required)));
  };
  if (tensor_ && tensor_->spec() != required) refuse(to_string(tensor_->spec()));
  if (tensor_ && !is_contiguous(tensor_->view())) refuse("not contiguous");
  if (dtype_ != required.dtype || count_ != static_cast<size_t>(numel(required.shape)))
    refuse(fmt::format("{} elements of {}", count_, name_of(dtype_)));
  if (const Device found = tensor_ ? tensor_->storage->backend().device() : kCpu; found != on.device())
    throw DeviceError(fmt::format("inference: {} {} is on {}; required is {}, where it was traced", what,
                                  number, to_string(found), to_string(on.device())));
}

void Inference::check(std::span<const ReadFrom> in, std::span<const WriteTo> out) const {
  const auto& inputs = plan_->inputs_;
  const Tensors& outputs = plan_->outputs_;
  if (in.size() != inputs.size() || out.size() != outputs.size())
    throw Error(fmt::format("inference: {} inputs and {} outputs given; required are {} and {}", in.size(),
                            out.size(), inputs.size(), outputs.size()));
  for (size_t i = 0; i < in.size(); ++i) in[i].check(inputs[i].spec, *inputs[i].on, "input", i);
  for (size_t i = 0; i < out.size(); ++i)
    out[i].check(outputs[i].spec(), outputs[i].value().storage->backend(), "output", i);
}

// An output may be written while inputs are still read.
void Inference::check_apart(std::span<const ReadFrom> in, std::span<const WriteTo> out) const {
  for (size_t i = 0; i < out.size(); ++i) {
    const auto refuse = [i](const std::string& what) {
      throw Error(fmt::format("inference: output {} overlaps {}; required is memory of its own", i, what));
    };
    const auto overlaps = [&](const Lent& other) { return out[i].overlaps(other.data_, other.end()); };
    for (size_t k = 0; k < in.size(); ++k)
      if (overlaps(in[k])) refuse(fmt::format("input {}", k));
    for (size_t k = 0; k < i; ++k)
      if (overlaps(out[k])) refuse(fmt::format("output {}", k));
    for (const auto& s : plan_->outside_)
      if (out[i].overlaps(s->data(), s->data() + s->bytes()))
        refuse(s->label().empty() ? "a tensor that the function captured" : fmt::format("'{}'", s->label()));
  }
}

void Inference::run(std::span<const ReadFrom> in, std::span<const WriteTo> out) {
  Trace::forbid_reading("inference");
  shared();
  check(in, out);
  check_apart(in, out);
  for (const Lent& o : out)  // before the calls: one that throws may have written already
    if (o.tensor_) o.tensor_->storage->bump_version();
  frame_.point(plan_->of_inputs_, [&](size_t i) { return in[i].data_; });
  frame_.point(plan_->of_outputs_, [&](size_t i) { return out[i].data_; });
  frame_.run();
}

}  // namespace varve
