// Where a StopGradient must stand.
#include <varve/io/stop_gradient.h>

#include <fmt/format.h>

#include <set>
#include <unordered_map>
#include <unordered_set>

#include <varve/core/ops/make.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve::io {

namespace {

constexpr uint32_t kResult = ~0u;
using Cuts = std::set<std::pair<uint32_t, uint32_t>>;  // (call, input), or (kResult, output)

// Compares the record f left with the one a replay leaves: where only the replay has an edge, f cut it.
Cuts cuts_of(const SizedGraph& sized, const Tensors& outputs, const Tensors& in) {
  Tensors captured;
  for (const Graph::Captured& c : sized.graph.captured) captured.push_back(c.tensor);
  // It owns the nodes: one that died would lend its address to a later one.
  std::unordered_map<std::shared_ptr<const Node>, uint32_t> call_of;
  const Tensors replayed = sized.run(in, captured, [&](size_t c, const Tensors& results) {
    for (const Tensor& t : results)
      if (t.edge()) call_of.emplace(t.edge().node, static_cast<uint32_t>(c));
  });
  Cuts cuts;
  std::unordered_set<const Node*> seen;
  std::vector<std::pair<const Node*, std::shared_ptr<const Node>>> open;  // f's node, the replay's
  const auto compare = [&](const Edge& original, const Edge& replay, uint32_t call, size_t i) {
    if (!replay || original.node == replay.node) return;
    if (!original)
      cuts.emplace(call, static_cast<uint32_t>(i));
    else if (seen.insert(replay.node.get()).second)
      open.emplace_back(original.node.get(), replay.node);
  };
  for (size_t i = 0; i < outputs.size(); ++i) compare(outputs[i].edge(), replayed[i].edge(), kResult, i);
  while (!open.empty()) {
    const auto [original, replay] = open.back();
    open.pop_back();
    if (original->inputs.size() != replay->inputs.size())
      throw Error("save_model: the model does other things when called again; required is one graph");
    for (size_t i = 0; i < replay->inputs.size(); ++i)
      compare(original->inputs[i].edge, replay->inputs[i].edge, call_of.at(replay), i);
  }
  return cuts;
}

}  // namespace

void keep_stops(SizedGraph& sized, const std::function<Tensors(const Tensors&)>& f) {
  const GradMode recording(true);
  Tensors in;
  for (uint32_t n : sized.graph.inputs) {
    const Spec& spec = sized.graph.values[n];
    in.push_back(zeros(spec.shape, spec.dtype));
    if (is_floating(spec.dtype)) in.back().set_requires_grad();
  }
  const Cuts cuts = cuts_of(sized, f(in), in);
  if (cuts.empty()) return;
  Graph& graph = sized.graph;
  std::vector<Graph::Call> calls;
  std::unordered_map<uint32_t, uint32_t> stopped;
  const auto stop = [&](uint32_t& n) {
    const auto [found, first] = stopped.emplace(n, static_cast<uint32_t>(graph.values.size()));
    if (first) {
      graph.values.push_back(Spec(graph.values[n]));
      calls.push_back({std::make_shared<const OpOf<StopGradient>>(StopGradient{}), {n}, {found->second}});
    }
    n = found->second;
  };
  size_t fit = 0;
  for (uint32_t c = 0; c < graph.calls.size(); ++c) {
    Graph::Call& call = graph.calls[c];
    for (uint32_t i = 0; i < call.in.size(); ++i)
      if (cuts.count({c, i})) stop(call.in[i]);
    for (; fit < sized.fits.size() && sized.fits[fit].call == c; ++fit)
      sized.fits[fit].call = static_cast<uint32_t>(calls.size());
    calls.push_back(std::move(call));
  }
  for (uint32_t i = 0; i < graph.outputs.size(); ++i)
    if (cuts.count({kResult, i})) stop(graph.outputs[i]);
  graph.calls = std::move(calls);
  graph = renumbered(std::move(graph));
}

}  // namespace varve::io
