#include "any_file.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <variant>
#include <vector>

#include <varve/core/error.h>
#include <varve/io/foreign/safetensors.h>
#include <varve/io/state.h>

namespace varve::cli {

namespace {
bool is_safetensors_name(const std::string& path) { return path.ends_with(".safetensors"); }
}  // namespace

bool holds_safetensors(const std::string& path) { return io::is_safetensors(*io::open_file(path)); }

io::Container read_any(const std::string& path) {
  const io::SourcePtr source = io::open_file(path);
  return io::is_safetensors(*source) ? io::read_safetensors(source) : io::Reader(source).read();
}

std::string lost_in(const std::string& path, const io::Container& container) {
  if (!is_safetensors_name(path)) return "";
  std::vector<std::string> lost;
  std::set<const Storage*> storages;
  for (const NamedTensor& t : container.tensors)
    if (!storages.insert(t.tensor.value().storage.get()).second)
      lost.push_back(fmt::format("the memory that '{}' shares", t.name));
  if (const auto* map = std::get_if<io::MetaMap>(&container.meta.value())) {
    for (const auto& [key, value] : *map)
      if (!std::holds_alternative<std::string>(value.value())) lost.push_back(fmt::format("meta '{}'", key));
  } else if (!container.meta.is_null()) {
    lost.push_back("its meta");
  }
  for (const io::Section& s : container.sections) lost.push_back(fmt::format("the section '{}'", s.name));
  constexpr size_t kMost = 5;
  const size_t more = lost.size() > kMost ? lost.size() - kMost : 0;
  lost.resize(lost.size() - more);
  return fmt::format("{}{}", fmt::join(lost, ", "), more ? fmt::format(" and {} others", more) : "");
}

void write_any(const std::string& path, io::Container container, io::Codec codec) {
  if (!is_safetensors_name(path)) return io::write(path, container, {codec});
  if (codec != io::Codec::none) throw Error("convert: safetensors has no codecs; leave --codec out");
  if (container.kind != "state_dict")
    throw Error(fmt::format(
        "convert: safetensors holds a state dict, this is a {}; convert it to .varve with --state first",
        container.kind));
  io::write_safetensors(path, container);
}

}  // namespace varve::cli
