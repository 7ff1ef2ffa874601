// SizedGraph: running at any size, and the way to Meta and back.
#include <varve/io/graph.h>

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include <varve/io/attribute.h>

namespace varve::io {
namespace {

// An op that this program cannot make, kept as data: its attributes may be any values.
class OpaqueOp final : public AnyOp {
 public:
  OpaqueOp(std::string name, int version, MetaMap kept, std::string reason)
      : name_(std::move(name)), version_(version), kept_(std::move(kept)), reason_(std::move(reason)) {}

  const MetaMap& kept() const { return kept_; }
  OpName name() const override { return {name_, version_}; }
  // For people: as text.
  Attributes attributes() const override {
    Attributes out;
    for (const auto& [name, value] : kept_) out.emplace_back(name, to_string(value));
    return out;
  }
  Specs infer(const Specs&) const override { throw Error(reason_); }
  Aliases alias(const View&) const override { return {}; }
  size_t scratch(Views, Views) const override { return 0; }
  std::optional<RowUse> rows(Views, Views) const override { return std::nullopt; }
  void run(Backend&, Views, Views, const View&) const override { throw Error(reason_); }
  bool refuses() const override { return true; }
  uint32_t updates() const override { return 0; }
  bool differentiable() const override { return false; }
  Keep keep() const override { return {}; }
  Tensors vjp(const Saved&, const Tensors&) const override { return {}; }
  OpPtr share() const override { return std::make_shared<const OpaqueOp>(*this); }

 private:
  std::string name_;
  int version_;
  MetaMap kept_;
  std::string reason_;
};

const OpaqueOp* as_opaque(const AnyOp& op) { return dynamic_cast<const OpaqueOp*>(&op); }

Attribute* find(Attributes& attributes, std::string_view name) {
  for (auto& [key, value] : attributes)
    if (key == name) return &value;
  return nullptr;
}

OpPtr resized(const AnyOp& op, std::span<const SizedGraph::Fit> fits, int64_t batch) {
  if (as_opaque(op)) return op.share();  // says itself that it cannot run
  Attributes attributes = op.attributes();
  for (const SizedGraph::Fit& fit : fits)
    set_number(*find(attributes, fit.attribute), fit.element,
               fit.base + fit.slope * static_cast<double>(batch));
  return make_op(op.name().name, op.name().version, attributes);
}

// The op of a call at `batch`; `fit` moves on to the fits of later calls.
OpPtr op_at(const SizedGraph& graph, size_t call, int64_t batch, size_t& fit) {
  const size_t first = fit;
  while (fit < graph.fits.size() && graph.fits[fit].call == call) ++fit;
  const OpPtr& op = graph.graph.calls[call].op;
  return first == fit ? op : resized(*op, std::span(graph.fits).subspan(first, fit - first), batch);
}

Specs input_specs(const Graph& graph) {
  Specs specs;
  for (uint32_t n : graph.inputs) specs.push_back(graph.values[n]);
  return specs;
}

// What a call makes, at the places of its value numbers.
template <class Results, class T>
void place(const Graph::Call& call, Results results, std::vector<T>& values) {
  if (results.size() != call.out.size())
    throw Error(fmt::format("graph: {} made {} results; required is {}, as when it was traced",
                            to_string(*call.op), results.size(), call.out.size()));
  for (size_t i = 0; i < results.size(); ++i) values[call.out[i]] = std::move(results[i]);
}

constexpr size_t kUnused = ~size_t{0};

// The last call that uses each value, for which it is kept until then; results are used when all is done.
std::vector<size_t> last_uses(const Graph& graph) {
  std::vector<size_t> last(graph.values.size(), kUnused);
  for (size_t c = 0; c < graph.calls.size(); ++c)
    for (uint32_t n : graph.calls[c].in) last[n] = c;
  for (uint32_t n : graph.outputs) last[n] = graph.calls.size();
  return last;
}

Specs picked(const std::vector<Spec>& values, const std::vector<uint32_t>& numbers) {
  Specs specs;
  for (uint32_t n : numbers) specs.push_back(values[n]);
  return specs;
}

}  // namespace

// ---- any size ----

Specs specs_of(const Tensors& tensors) {
  Specs specs;
  for (const Tensor& t : tensors) specs.push_back(t.spec());
  return specs;
}

int64_t batch_of(const Specs& specs, int axis) {
  std::optional<int64_t> batch;
  for (const Spec& spec : specs) {
    if (axis < 0 || axis >= spec.shape.rank()) continue;
    if (batch && *batch != spec.shape[axis])
      throw ShapeError(
          fmt::format("model: inputs with {} and {} along the batch axis {}; required is one size for all",
                      *batch, spec.shape[axis], axis));
    batch = spec.shape[axis];
  }
  if (!batch)
    throw ShapeError(fmt::format("model: no input has a batch axis {}; name another, or add an axis", axis));
  return *batch;
}

int64_t SizedGraph::batch() const { return batch_of(input_specs(graph), batch_axis); }

Graph SizedGraph::at(int64_t batch) const {
  Graph sized = graph;
  for (uint32_t n : sized.inputs)
    if (batch_axis < sized.values[n].shape.rank()) sized.values[n].shape[batch_axis] = batch;
  size_t fit = 0;
  for (size_t c = 0; c < sized.calls.size(); ++c) {
    Graph::Call& call = sized.calls[c];
    call.op = op_at(*this, c, batch, fit);
    place(call, call.op->infer(picked(sized.values, call.in)), sized.values);
  }
  return sized;
}

Tensors SizedGraph::run(const Tensors& in, const Tensors& captured, const After& after) const {
  if (in.size() != graph.inputs.size() || captured.size() != graph.captured.size())
    throw Error(fmt::format("graph: {} inputs and {} captured tensors given, {} and {} required", in.size(),
                            captured.size(), graph.inputs.size(), graph.captured.size()));
  const int64_t batch_now = batch_of(specs_of(in), batch_axis);
  Tensors now(graph.values.size());
  for (size_t i = 0; i < in.size(); ++i) now[graph.inputs[i]] = in[i];
  for (size_t i = 0; i < captured.size(); ++i) now[graph.captured[i].value] = captured[i];
  const std::vector<size_t> last = last_uses(graph);
  size_t fit = 0;
  for (size_t c = 0; c < graph.calls.size(); ++c) {
    const Graph::Call& call = graph.calls[c];
    Tensors arguments;
    for (uint32_t n : call.in) arguments.push_back(now[n]);
    for (uint32_t n : call.in)
      if (last[n] == c) now[n] = {};
    Tensors results = apply_op(*op_at(*this, c, batch_now, fit), arguments);
    if (after) after(c, results);
    place(call, std::move(results), now);
    for (uint32_t n : call.out)
      if (last[n] == kUnused) now[n] = {};
  }
  Tensors results;
  for (uint32_t n : graph.outputs) results.push_back(now[n]);
  return results;
}

Graph renumbered(Graph graph) {
  std::vector<uint32_t> number(graph.values.size());
  std::vector<Spec> values;
  const auto define = [&](uint32_t& n) {
    values.push_back(graph.values[n]);
    n = number[n] = static_cast<uint32_t>(values.size() - 1);
  };
  for (uint32_t& n : graph.inputs) define(n);
  for (Graph::Captured& c : graph.captured) define(c.value);
  for (Graph::Call& call : graph.calls) {
    for (uint32_t& n : call.in) n = number[n];
    for (uint32_t& n : call.out) define(n);
  }
  for (uint32_t& n : graph.outputs) n = number[n];
  graph.values = std::move(values);
  return graph;
}

std::string user_of(const Graph& graph, uint32_t value) {
  for (const Graph::Call& call : graph.calls)
    if (std::find(call.in.begin(), call.in.end(), value) != call.in.end()) return to_string(*call.op);
  return "the result";
}

// ---- Meta ----

namespace {

Meta to_meta(const std::vector<uint32_t>& numbers) {
  MetaList out;
  for (uint32_t n : numbers) out.emplace_back(int64_t{n});
  return out;
}

Meta to_meta(const Dims& dims) {
  MetaList out;
  for (int64_t d : dims) out.emplace_back(d);
  return out;
}

Meta attributes_of(const AnyOp& op) {
  if (const OpaqueOp* opaque = as_opaque(op)) return opaque->kept();
  MetaMap out;
  for (const auto& [name, value] : op.attributes())
    out.emplace_back(name, std::visit(
                               []<class T>(const T& v) {
                                 if constexpr (std::is_same_v<T, Dims>)
                                   return to_meta(v);
                                 else
                                   return Meta(v);
                               },
                               value));
  return out;
}

int64_t integer(const Meta& meta, int64_t low, int64_t high, const char* what) {
  const int64_t found = meta.as_int();
  if (found < low || found > high)
    throw Error(fmt::format("graph: {} is {}; required is {} to {}", what, found, low, high));
  return found;
}

std::vector<uint32_t> numbers_from(const Meta& meta, size_t defined) {
  std::vector<uint32_t> out;
  for (const Meta& m : meta.as_list())
    out.push_back(static_cast<uint32_t>(integer(m, 0, static_cast<int64_t>(defined) - 1, "a value number")));
  return out;
}

Dims dims_from(const Meta& meta) {
  Dims out;
  for (const Meta& m : meta.as_list()) out.push_back(m.as_int());
  return out;
}

Attribute attribute_from(const Meta& meta) {
  if (std::holds_alternative<bool>(meta.value())) return meta.as_bool();
  if (std::holds_alternative<int64_t>(meta.value())) return meta.as_int();
  if (std::holds_alternative<double>(meta.value())) return meta.as_double();
  if (std::holds_alternative<std::string>(meta.value())) return meta.as_string();
  return dims_from(meta);
}

Attributes attributes_from(const Meta& meta) {
  Attributes out;
  for (const auto& [name, value] : meta.as_map()) out.emplace_back(name, attribute_from(value));
  return out;
}

void append_values(const Specs& specs, std::vector<Spec>& values, std::vector<uint32_t>& numbers) {
  for (const Spec& spec : specs) {
    numbers.push_back(static_cast<uint32_t>(values.size()));
    values.push_back(spec);
  }
}

OpPtr op_from(const Meta& call) {
  const std::string& name = call.at("op").as_string();
  const auto version =
      static_cast<int>(integer(call.at("version"), 1, std::numeric_limits<int>::max(), "an op's version"));
  const Meta& attributes = call.at("attributes");
  try {
    require_op(name, version);
  } catch (const Error& e) {
    return std::make_shared<const OpaqueOp>(name, version, attributes.as_map(), e.what());
  }
  return make_op(name, version, attributes_from(attributes));
}

void append_call(const Meta& meta, Graph& graph) try {
  Graph::Call call{op_from(meta), numbers_from(meta.at("in"), graph.values.size()), {}};
  const Specs out = specs_from(meta.at("out"));
  if (!as_opaque(*call.op) && call.op->infer(picked(graph.values, call.in)) != out)
    throw Error(fmt::format("its results are not those of {}", to_string(*call.op)));
  append_values(out, graph.values, call.out);
  graph.calls.push_back(std::move(call));
} catch (const Error& e) {
  throw Error(fmt::format("graph: call {}: {}", graph.calls.size(), e.what()));
}

// That the fit gives the number which the call was traced with.
void check_value(const SizedGraph::Fit& fit, const SizedGraph& sized) {
  Attributes attributes = sized.graph.calls[fit.call].op->attributes();
  Attribute* attribute = find(attributes, fit.attribute);
  if (!attribute)
    throw Error(fmt::format("graph: a fit for '{}', which call {} lacks", fit.attribute, fit.call));
  integer(fit.element, 0, numbers_in(*attribute) - 1, "a fit's element");
  const Attribute traced = *attribute;
  set_number(*attribute, fit.element, fit.base + fit.slope * static_cast<double>(sized.batch()));
  if (!same(traced, *attribute))
    throw Error(
        fmt::format("graph: the fit for '{}' of call {} does not give its value", fit.attribute, fit.call));
}

SizedGraph::Fit fit_from(const Meta& meta, const SizedGraph& sized) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  const auto calls = static_cast<int64_t>(sized.graph.calls.size());
  const SizedGraph::Fit fit{static_cast<uint32_t>(integer(meta.at("call"), 0, calls - 1, "a fit's call")),
                            meta.at("attribute").as_string(),
                            static_cast<int>(integer(meta.at("element"), 0, kMost, "a fit's element")),
                            meta.at("base").as_double(), meta.at("slope").as_double()};
  if (!as_opaque(*sized.graph.calls[fit.call].op)) check_value(fit, sized);
  return fit;
}

void check_distinct(const std::vector<SizedGraph::Fit>& fits) {
  std::set<std::pair<std::string_view, int>> of_call;
  for (size_t i = 0; i < fits.size(); ++i) {
    const SizedGraph::Fit& fit = fits[i];
    if (i > 0 && fit.call < fits[i - 1].call) throw Error("graph: fits are not in the order of calls");
    if (i > 0 && fit.call > fits[i - 1].call) of_call.clear();
    if (!of_call.emplace(fit.attribute, fit.element).second)
      throw Error(fmt::format("graph: two fits for one number of '{}' of call {}", fit.attribute, fit.call));
  }
}

}  // namespace

Meta to_meta(const Specs& specs) {
  MetaList out;
  for (const Spec& s : specs)
    out.emplace_back(MetaMap{{"dtype", Meta(name_of(s.dtype))}, {"shape", to_meta(s.shape)}});
  return out;
}

Specs specs_from(const Meta& meta) {
  Specs out;
  for (const Meta& m : meta.as_list()) {
    out.push_back({dtype_named(m.at("dtype").as_string()), dims_from(m.at("shape"))});
    numel(out.back().shape);  // throws where its bytes could not be counted
  }
  return out;
}

Meta to_meta(const SizedGraph& sized) {
  const Graph& graph = sized.graph;
  MetaList calls, fits;
  for (const Graph::Call& call : graph.calls)
    calls.emplace_back(MetaMap{{"op", call.op->name().name},
                               {"version", call.op->name().version},
                               {"attributes", attributes_of(*call.op)},
                               {"in", to_meta(call.in)},
                               {"out", to_meta(picked(graph.values, call.out))}});
  for (const SizedGraph::Fit& fit : sized.fits)
    fits.emplace_back(MetaMap{{"call", int64_t{fit.call}},
                              {"attribute", fit.attribute},
                              {"element", fit.element},
                              {"base", fit.base},
                              {"slope", fit.slope}});
  return MetaMap{{"batch_axis", sized.batch_axis},
                 {"inputs", to_meta(input_specs(graph))},
                 {"calls", std::move(calls)},
                 {"outputs", to_meta(graph.outputs)},
                 {"fits", std::move(fits)}};
}

SizedGraph graph_from(const Meta& meta, const Specs& captured) {
  SizedGraph out;
  Graph& graph = out.graph;
  out.batch_axis = static_cast<int>(integer(meta.at("batch_axis"), 0, kMaxRank - 1, "the batch axis"));
  append_values(specs_from(meta.at("inputs")), graph.values, graph.inputs);
  out.batch();  // throws unless the inputs agree
  for (const Spec& spec : captured) {
    graph.captured.push_back({static_cast<uint32_t>(graph.values.size()), {}});
    graph.values.push_back(spec);
  }
  for (const Meta& call : meta.at("calls").as_list()) append_call(call, graph);
  graph.outputs = numbers_from(meta.at("outputs"), graph.values.size());
  for (const Meta& fit : meta.at("fits").as_list()) out.fits.push_back(fit_from(fit, out));
  check_distinct(out.fits);
  return out;
}

}  // namespace varve::io
