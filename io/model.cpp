// Model: traced from a module, run, and turned into a container and back.
#include <varve/io/model.h>

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <varve/core/random.h>
#include <varve/core/record.h>
#include <varve/io/blocks.h>
#include <varve/io/stop_gradient.h>
#include <varve/io/trace_sizes.h>

namespace varve {

using namespace io;

namespace {

constexpr int kVersion = 1;  // of what a "model" container's meta says

// Whether they are one in memory; what has no elements is.
bool is_tied(const Tensor& a, const Tensor& b) {
  return a.numel() == 0 ? a.spec() == b.spec() : same_view(a.value(), b.value());
}

// Gives the default generator back the state it had.
class KeptGenerator {
 public:
  KeptGenerator() : seed_(default_generator().seed()), offset_(default_generator().offset()) {}
  ~KeptGenerator() { default_generator().set(seed_, offset_); }
  KeptGenerator(const KeptGenerator&) = delete;
  KeptGenerator& operator=(const KeptGenerator&) = delete;

 private:
  uint64_t seed_, offset_;
};

bool updated(const Graph& graph, uint32_t value) {
  for (const Graph::Call& call : graph.calls)
    for (size_t i = 0; i < call.in.size(); ++i)
      if (call.in[i] == value && call.op->writes(i)) return true;
  return false;
}

bool same_value(const Tensor& a, const Tensor& b) { return a.value_ptr() == b.value_ptr(); }

std::vector<std::string> numbered(const char* name, size_t count) {
  if (count == 1) return {name};
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(fmt::format("{}{}", name, i));
  return names;
}

MetaList list_of(const std::vector<std::string>& names) { return {names.begin(), names.end()}; }

std::vector<std::string> names_from(const Meta& meta) {
  std::vector<std::string> names;
  for (const Meta& m : meta.as_list()) names.push_back(m.as_string());
  return names;
}

std::string constant_name(size_t i) { return fmt::format("{}{}", kConstantPart, i); }

using ByName = std::unordered_map<std::string_view, const Tensor*>;

ByName by_name(const NamedTensors& tensors) {
  ByName out(tensors.size());
  for (const auto& [name, tensor] : tensors) out.emplace(name, &tensor);
  return out;
}

const Tensor& tensor_named(const ByName& tensors, const std::string& name) {
  if (const auto found = tensors.find(name); found != tensors.end()) return *found->second;
  throw Error(fmt::format("model: tensor '{}' is missing from the file", name));
}

// An entry of a file's; `owners` are those before it that are no other's name.
MemberEntry entry_from(const Meta& meta, const ByName& tensors,
                       std::unordered_map<std::string, Tensor>& owners) {
  MemberEntry entry{
      meta.at("name").as_string(), {}, meta.at("buffer").as_bool(), meta.at("alias_of").as_string()};
  const Tensor& found = tensor_named(tensors, entry.name);
  if (entry.alias_of.empty()) {
    entry.tensor = found.detach();
    entry.tensor.set_requires_grad(meta.at("requires_grad").as_bool());
    owners.emplace(entry.name, entry.tensor);
    return entry;
  }
  const auto owner = owners.find(entry.alias_of);
  if (owner == owners.end())
    throw Error(fmt::format("model: entry '{}' is another name of '{}', which no entry before it has",
                            entry.name, entry.alias_of));
  if (!is_tied(found, owner->second))
    throw Error(fmt::format("model: entry '{}' is another name of '{}', and has another tensor", entry.name,
                            entry.alias_of));
  entry.tensor = owner->second;
  return entry;
}

}  // namespace

// ---- running ----

Tensors Model::captured(const Side& side) const {
  Tensors out;
  for (const Source& s : side.sources)
    out.push_back(s.kind == Source::kMember     ? entries_[s.index].tensor
                  : s.kind == Source::kConstant ? constants_[s.index]
                                                : default_generator().state());
  return out;
}

void Model::check(const Side& side, const Tensors& inputs) const {
  const Graph& graph = side.graph.graph;
  if (inputs.size() != graph.inputs.size()) detail::wrong_inputs(inputs.size(), graph.inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Spec found = inputs[i].spec();
    Spec required = graph.values[graph.inputs[i]];
    const int axis = side.graph.batch_axis;
    const bool sized = axis < required.shape.rank();
    if (sized && axis < found.shape.rank()) required.shape[axis] = found.shape[axis];
    if (found == required) continue;
    throw ShapeError(fmt::format("model: input '{}' is {}; required is {}{}", inputs_[i], to_string(found),
                                 to_string(required),
                                 sized ? fmt::format(", of any size along axis {}", axis) : ""));
  }
}

Tensors Model::operator()(const Tensors& inputs) const {
  const Side& now = side(mode_.training());
  check(now, inputs);
  return now.graph.run(inputs, captured(now));
}

Tensor Model::operator()(const Tensor& input) const {
  if (outputs_.size() != 1)
    throw Error(fmt::format("model: it has {} outputs; pass and take Tensors", outputs_.size()));
  return (*this)(Tensors{input})[0];
}

SizedGraph Model::graph(bool training) const {
  const Side& wanted = side(training);
  SizedGraph bound = wanted.graph;
  const Tensors tensors = captured(wanted);
  for (size_t i = 0; i < tensors.size(); ++i) bound.graph.captured[i].tensor = tensors[i];
  return bound;
}

// ---- from a module ----

Model::Model(std::vector<MemberEntry> entries, const std::vector<MemberEntry>& traced, const Forward& forward,
             const Tensors& examples, const ModelOptions& options)
    : entries_(std::move(entries)) {
  Trace::forbid_reading("save_model");
  for (const MemberEntry& e : entries_)
    if (e.name.starts_with(kConstantPart))
      throw Error(
          fmt::format("save_model: '{}': names that begin with '{}' are the file's own; rename the member",
                      e.name, kConstantPart));
  const KeptGenerator kept;
  for (bool training : {true, false}) {
    const auto f = [&](const Tensors& in) { return forward(training, in); };
    SizedGraph graph = trace_sizes(f, examples, options.batch_axis);
    keep_stops(graph, f);
    (training ? train_ : eval_) = take_sources(std::move(graph), traced);
  }
  const Graph& graph = eval_.graph.graph;
  inputs_ = options.inputs.empty() ? numbered("input", graph.inputs.size()) : options.inputs;
  outputs_ = options.outputs.empty() ? numbered("output", graph.outputs.size()) : options.outputs;
  check_ends();
}

Model::Side Model::take_sources(SizedGraph graph, const std::vector<MemberEntry>& traced) {
  Side out;
  for (Graph::Captured& c : graph.graph.captured) {
    out.sources.push_back(source_of(graph.graph, c, traced));
    c.tensor = {};
  }
  out.graph = std::move(graph);
  return out;
}

Model::Source Model::source_of(const Graph& graph, const Graph::Captured& captured,
                               const std::vector<MemberEntry>& traced) {
  const Tensor& t = captured.tensor;
  const auto member = std::find_if(traced.begin(), traced.end(),
                                   [&](const MemberEntry& entry) { return same_value(entry.tensor, t); });
  if (member != traced.end()) return {Source::kMember, static_cast<size_t>(member - traced.begin())};
  if (same_value(t, default_generator().state())) return {Source::kGenerator};
  if (t.requires_grad())
    throw Error(
        fmt::format("save_model: {} uses a parameter {} that the walk does not list; visit it in members()",
                    user_of(graph, captured.value), to_string(t.spec())));
  if (updated(graph, captured.value))
    throw Error(
        fmt::format("save_model: {} uses a tensor {} that the model writes to and the walk does not list; "
                    "visit it in members() as a buffer",
                    user_of(graph, captured.value), to_string(t.spec())));
  return {Source::kConstant, add_constant(t)};
}

size_t Model::add_constant(const Tensor& tensor) {
  const auto found = std::find_if(constants_.begin(), constants_.end(),
                                  [&](const Tensor& t) { return same_value(t, tensor); });
  if (found == constants_.end()) {
    constants_.push_back(tensor.detach());
    return constants_.size() - 1;
  }
  return static_cast<size_t>(found - constants_.begin());
}

// Both modes take and give what the names say, each of which is something and names one thing.
void Model::check_ends() const {
  for (const auto* names : {&inputs_, &outputs_}) {
    const std::set<std::string> distinct(names->begin(), names->end());
    if (distinct.size() != names->size() || distinct.contains(""))
      throw Error(fmt::format("model: the names '{}' are not distinct, or one is empty; name each {}",
                              fmt::join(*names, "', '"), names == &inputs_ ? "input" : "output"));
  }
  for (const Side* side : {&train_, &eval_}) {
    const Graph& graph = side->graph.graph;
    if (graph.inputs.size() != inputs_.size() || graph.outputs.size() != outputs_.size())
      throw Error(fmt::format("model: {} inputs and {} outputs are named, the graph has {} and {}",
                              inputs_.size(), outputs_.size(), graph.inputs.size(), graph.outputs.size()));
  }
}

// ---- to a container ----

Container Model::container() const {
  Container out{"model", {}, {}};
  MetaList entries;
  for (const MemberEntry& e : entries_) {
    entries.emplace_back(MetaMap{{"name", e.name},
                                 {"buffer", e.buffer},
                                 {"requires_grad", e.tensor.requires_grad()},
                                 {"alias_of", e.alias_of}});
    out.tensors.add(e.name, e.tensor.detach());  // aliases too: they share, and load(path) lists them
  }
  for (size_t i = 0; i < constants_.size(); ++i) out.tensors.add(constant_name(i), constants_[i]);
  out.meta = MetaMap{{"version", kVersion},
                     {"inputs", list_of(inputs_)},
                     {"outputs", list_of(outputs_)},
                     {"entries", std::move(entries)},
                     {"constants", static_cast<int64_t>(constants_.size())},
                     {"train", meta_of(train_)},
                     {"eval", meta_of(eval_)}};
  return out;
}

Meta Model::meta_of(const Side& side) const {
  MetaList captured;
  for (const Source& s : side.sources) {
    Meta source;
    if (s.kind == Source::kMember) source.set("member", entries_[s.index].name);
    if (s.kind == Source::kConstant) source.set("constant", static_cast<int64_t>(s.index));
    if (s.kind == Source::kGenerator) source.set("generator", "default");
    captured.push_back(std::move(source));
  }
  return MetaMap{{"captured", std::move(captured)}, {"graph", to_meta(side.graph)}};
}

void save_model(const std::string& path, const Model& model) {
  Trace::forbid_reading("save_model");
  io::write(path, model.container());
}

// ---- from a container ----

Model::Model(const Container& container) {
  const Meta& meta = container.meta;
  if (container.kind != "model")
    throw Error(fmt::format("model: the file holds a '{}'; required is a 'model'", container.kind));
  if (const int64_t version = meta.at("version").as_int(); version < 1 || version > kVersion)
    throw Error(
        fmt::format("model: version {} found, this program knows 1 to {}; update varve", version, kVersion));
  inputs_ = names_from(meta.at("inputs"));
  outputs_ = names_from(meta.at("outputs"));
  read_tensors(container);
  train_ = read_side(meta.at("train"));
  eval_ = read_side(meta.at("eval"));
  check_ends();
  label(*this);
}

void Model::read_tensors(const Container& container) {
  const ByName tensors = by_name(container.tensors);
  std::unordered_map<std::string, Tensor> owners;
  std::unordered_set<std::string_view> names;
  for (const Meta& meta : container.meta.at("entries").as_list()) {
    entries_.push_back(entry_from(meta, tensors, owners));
    if (entries_.back().name.starts_with(kConstantPart))
      throw Error(fmt::format("model: entry '{}' has the name of a constant", entries_.back().name));
    if (!names.insert(meta.at("name").as_string()).second)
      throw Error(fmt::format("model: entry '{}' is listed twice", entries_.back().name));
  }
  const int64_t count = container.meta.at("constants").as_int();
  if (count < 0) throw Error(fmt::format("model: {} constants; required are 0 or more", count));
  for (int64_t i = 0; i < count; ++i)  // ends at the first that is missing
    constants_.push_back(tensor_named(tensors, constant_name(static_cast<size_t>(i))).detach());
  for (const Carried& c : container.carried) computed_dtype(c.element, c.name, "model");  // throws
  if (const size_t known = entries_.size() + constants_.size(); known != container.tensors.size())
    throw Error(fmt::format("model: {} tensors found, of which {} are entries and constants",
                            container.tensors.size(), known));
}

Model::Side Model::read_side(const Meta& meta) const {
  std::unordered_map<std::string_view, size_t> numbers;
  for (size_t i = 0; i < entries_.size(); ++i) numbers.emplace(entries_[i].name, i);
  Side out;
  Specs specs;
  for (const Meta& m : meta.at("captured").as_list()) {
    if (m.as_map().size() != 1)
      throw Error("model: a captured value stands for more than one thing, or none");
    if (const Meta* member = m.find("member")) {
      const auto found = numbers.find(member->as_string());
      if (found == numbers.end())
        throw Error(fmt::format("model: a graph uses '{}', which is no entry", member->as_string()));
      out.sources.push_back({Source::kMember, found->second});
      specs.push_back(entries_[found->second].tensor.spec());
    } else if (const Meta* constant = m.find("constant")) {
      const int64_t i = constant->as_int();
      if (i < 0 || i >= static_cast<int64_t>(constants_.size()))
        throw Error(fmt::format("model: a graph uses constant {}, of {}", i, constants_.size()));
      out.sources.push_back({Source::kConstant, static_cast<size_t>(i)});
      specs.push_back(constants_[static_cast<size_t>(i)].spec());
    } else {
      if (const std::string& which = m.at("generator").as_string(); which != "default")
        throw Error(fmt::format("model: a graph uses the generator '{}'; known is 'default'", which));
      out.sources.push_back({Source::kGenerator});
      specs.push_back(default_generator().state().spec());
    }
  }
  out.graph = graph_from(meta.at("graph"), specs);
  return out;
}

Model load_model(const std::string& path) {
  const Container container = io::read(path);
  try {
    return Model(container);
  } catch (const Error& e) {
    throw Error(fmt::format("load_model: {}: {}", path, e.what()));
  }
}

}  // namespace varve
