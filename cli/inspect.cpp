// varve inspect FILE: what it holds, without reading more than is asked for.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>
#include <varve/io/foreign/safetensors.h>
#include <varve/io/model.h>

#include "any_file.h"
#include "commands.h"
#include "printable.h"

namespace varve::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string path;
  bool json = false, values = false, statistics = false, graph = true;
};

// What is said of a file and of each tensor, whichever way it is printed.
struct Row {
  io::TensorInfo info;
  std::optional<Tensor> tensor;  // where values or statistics are asked for
};
struct Summary {
  std::string format, kind, fingerprint, graph;
  uint64_t bytes = 0;
  io::Meta meta;
  std::vector<Row> rows;
  io::MetaMap sections{};
};

Json json_of(const io::Meta& meta) {
  return std::visit(
      [](const auto& v) -> Json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>)
          return nullptr;
        else if constexpr (std::is_same_v<T, double>)
          return std::isfinite(v) ? Json(v) : Json(fmt::format("{}", v));  // JSON has no such numbers
        else if constexpr (std::is_same_v<T, io::Bytes>)
          return fmt::format("{} bytes", v.size());
        else if constexpr (std::is_same_v<T, io::MetaList>) {
          Json list = Json::array();
          for (const io::Meta& m : v) list.push_back(json_of(m));
          return list;
        } else if constexpr (std::is_same_v<T, io::MetaMap>) {
          Json map = Json::object();
          for (const auto& [key, m] : v) map[key] = json_of(m);
          return map;
        } else
          return v;
      },
      meta.value());
}

// What a container says of itself, without its bytes: each tensor is one zero, expanded.
io::Container described(const io::Reader& reader) {
  io::Container out{reader.kind(), reader.meta(), {}, {}, {}};
  std::map<std::pair<size_t, DType>, Tensor> zero;  // of each storage: ties stay
  for (const io::TensorInfo& t : reader.tensors()) {
    const auto dtype = io::info_of(t.element)->dtype;
    if (!dtype) continue;
    Tensor& its = zero[{t.storage, *dtype}];
    if (!its.defined()) its = zeros({}, *dtype);
    out.tensors.add(t.name, expand(its, t.shape));
  }
  return out;
}

// What a checkpoint says of who saved it, else the bytes of a section that others may know.
io::Meta value_of(const io::Section& section, const std::string& kind) {
  if (kind != "checkpoint" || section.name != "saved_by") return section.bytes;
  return io::decode(section.bytes);
}

Summary summary_of_varve(const io::SourcePtr& source, const Options& o) {
  const io::Reader reader(source);
  Summary s{fmt::format("varve 1.{}", reader.minor_version()),
            reader.kind(),
            to_string(reader.fingerprint()),
            {},
            source->size(),
            reader.meta(),
            {}};
  for (const io::Section& section : reader.sections())
    s.sections.emplace_back(section.name, value_of(section, s.kind));
  for (io::TensorInfo& t : reader.tensors()) s.rows.push_back({std::move(t), {}});
  if (o.values || o.statistics) {
    reader.verify();
    NamedTensors mapped = reader.map().tensors;  // in the order of the rows
    auto next = mapped.begin();
    for (Row& row : s.rows)
      if (io::info_of(row.info.element)->dtype) row.tensor = (next++)->tensor;
  }
  if (s.kind != "model") return s;
  const Model model(described(reader));
  s.meta = io::MetaMap{{"inputs", io::MetaList(model.inputs().begin(), model.inputs().end())},
                       {"outputs", io::MetaList(model.outputs().begin(), model.outputs().end())}};
  if (o.graph) s.graph = to_string(model.graph(false).graph);
  return s;
}

Summary summary_of_safetensors(const io::SourcePtr& source, const Options& o) {
  const io::Container c = io::map_safetensors(source);
  Summary s{"safetensors", c.kind, {}, {}, source->size(), c.meta, {}};
  for (const auto& [name, tensor] : c.tensors) {
    io::TensorInfo info;
    info.name = name, info.element = io::element_of(tensor.dtype()), info.shape = tensor.shape();
    info.stored_bytes = tensor.spec().bytes();
    s.rows.push_back({std::move(info), {}});
    if (o.values || o.statistics) s.rows.back().tensor = tensor;
  }
  for (const io::Carried& t : c.carried) {
    io::TensorInfo info;
    info.name = t.name, info.element = t.element, info.shape = t.shape, info.stored_bytes = t.bytes->bytes();
    s.rows.push_back({std::move(info), {}});
  }
  return s;
}

struct Statistics {
  double min, max, mean;
};
std::optional<Statistics> statistics_of(const Row& row) {
  if (!row.tensor || row.tensor->numel() == 0) return {};
  const Tensor x = cast(row.tensor->detach(), DType::f64);
  return Statistics{min(x).item(), max(x).item(), mean(x).item()};
}

Json json_of(const Summary& s, const Options& o) {
  Json out{{"format", s.format}, {"kind", s.kind}, {"bytes", s.bytes}};
  if (!s.fingerprint.empty()) out["fingerprint"] = s.fingerprint;
  out["meta"] = json_of(s.meta);
  if (!s.sections.empty()) out["sections"] = json_of(io::Meta(s.sections));
  out["tensors"] = Json::array();
  for (const Row& row : s.rows) {
    const io::TensorInfo& t = row.info;
    Json json{{"name", t.name},
              {"dtype", std::string(io::info_of(t.element)->name)},
              {"shape", std::vector<int64_t>(t.shape.begin(), t.shape.end())},
              {"codec", std::string(name_of(t.codec))},
              {"storage", t.storage},
              {"stored_bytes", t.stored_bytes}};
    if (o.statistics)
      if (const auto found = statistics_of(row))
        json["statistics"] = {{"min", found->min}, {"max", found->max}, {"mean", found->mean}};
    if (o.values && row.tensor) json["values"] = to_string(*row.tensor);
    out["tensors"].push_back(std::move(json));
  }
  if (!s.graph.empty()) out["graph"] = s.graph;
  return out;
}

void print(const Summary& s, const Options& o) {
  fmt::print("{}: {}, {}, {} bytes\n", o.path, s.format, printable(s.kind), s.bytes);
  if (!s.fingerprint.empty()) fmt::print("fingerprint {}\n", s.fingerprint);
  if (!s.meta.is_null()) fmt::print("meta {}\n", printable(json_of(s.meta).dump()));
  for (const auto& [name, value] : s.sections)
    fmt::print("section {} {}\n", printable(name), printable(json_of(value).dump()));
  size_t width = 4;
  for (const Row& row : s.rows) width = std::max(width, printable(row.info.name).size());
  fmt::print("{:<{}}  {:<8} {:<18} {:<5} {:>12}\n", "name", width, "dtype", "shape", "codec", "stored bytes");
  for (const Row& row : s.rows) {
    const io::TensorInfo& t = row.info;
    fmt::print("{:<{}}  {:<8} {:<18} {:<5} {:>12}\n", printable(t.name), width, io::info_of(t.element)->name,
               to_string(t.shape), name_of(t.codec), t.stored_bytes);
    if (o.statistics)
      if (const auto found = statistics_of(row))
        fmt::print("  min {:.6g}  max {:.6g}  mean {:.6g}\n", found->min, found->max, found->mean);
    if (o.values && row.tensor) fmt::print("{}\n", to_string(*row.tensor));
  }
  if (!s.graph.empty()) fmt::print("\ngraph (eval)\n{}", printable(s.graph, true));
}

int inspect(const Options& o) {
  const io::SourcePtr source = io::map_file(o.path);
  const Summary s =
      io::is_safetensors(*source) ? summary_of_safetensors(source, o) : summary_of_varve(source, o);
  if (o.json)
    fmt::print("{}\n", json_of(s, o).dump(2, ' ', false, Json::error_handler_t::replace));
  else
    print(s, o);
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "Say what a file holds");
  command->add_option("file", o->path, "The file")->required();
  command->add_flag("--json", o->json, "As JSON");
  command->add_flag("--values", o->values, "A few values of each tensor, too");
  command->add_flag("--stats", o->statistics, "Smallest, largest and mean value of each tensor, too");
  command->add_flag("!--no-graph", o->graph, "Without a model's graph");
  command->callback([=, &chosen] { chosen = [o] { return inspect(*o); }; });
}

}  // namespace varve::cli
