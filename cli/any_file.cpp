#include "any_file.h"

#include <fmt/format.h>

#include <varve/core/error.h>
#include <varve/io/foreign/safetensors.h>
#include <varve/io/state.h>

namespace varve::cli {

bool holds_safetensors(const std::string& path) { return io::is_safetensors(*io::open_file(path)); }

io::Container read_any(const std::string& path) {
  const io::SourcePtr source = io::open_file(path);
  return io::is_safetensors(*source) ? io::read_safetensors(source) : io::Reader(source).read();
}

void write_any(const std::string& path, io::Container container, io::Codec codec) {
  if (!path.ends_with(".safetensors")) return io::write(path, container, {codec});
  if (codec != io::Codec::none) throw Error("convert: safetensors has no codecs; leave --codec out");
  if (container.kind != "state_dict")
    throw Error(fmt::format(
        "convert: safetensors holds a state dict, this is a {}; convert it to .varve with --state first",
        container.kind));
  io::write_safetensors(path, container);
}

}  // namespace varve::cli
