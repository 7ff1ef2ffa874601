// A state dict is a container of its kind, or a part of another.
#include <varve/io/state.h>

#include <fmt/format.h>

#include <utility>

#include <varve/io/checkpoint.h>
#include <varve/io/container.h>

namespace varve {

void save(const std::string& path, const NamedTensors& state) { io::write(path, {"state_dict", {}, state}); }

NamedTensors load(const std::string& path) {
  io::Container file = io::read(path);
  if (file.kind == "state_dict") return std::move(file.tensors);
  if (file.kind == "checkpoint") return detail::checkpoint_of(path, std::move(file)).model;
  if (file.kind != "model")
    throw FormatError(
        path, 0,
        fmt::format("load: the file is a '{}'; required is a state_dict, a model or a checkpoint",
                    file.kind));
  // Constants belong to the model's graphs, not to its state.
  std::erase_if(file.tensors, [](const NamedTensor& t) { return t.name.starts_with("constant:"); });
  return std::move(file.tensors);
}

}  // namespace varve
