// varve convert IN OUT, varve repack FILE: the same content in another format, codec or dtype.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <varve/core/error.h>
#include <varve/core/ops/copy.h>
#include <varve/io/state.h>

#include "any_file.h"
#include "commands.h"
#include "printable.h"

namespace varve::cli {
namespace {

struct Options {
  std::string in, out, codec = "none", dtype;
  bool state = false;
};

io::Codec codec_of(const std::string& name) {
  const auto codec = io::codec_named(name);
  if (!codec) throw Error(fmt::format("codec '{}' is unknown; known are none, zlib and zstd", name));
  return *codec;
}

// All that a storage holds as numbers of that kind.
Tensor numbers_in(const std::shared_ptr<Storage>& storage, DType dtype) {
  const auto count = static_cast<int64_t>(storage->bytes() / size_of(dtype));
  return Tensor(std::make_shared<const Value>(Value{storage, 0, dtype, {count}, {1}}));
}

// A storage is cast once: what shares memory still does.
void cast_floating(NamedTensors& tensors, DType dtype) {
  std::map<std::pair<std::shared_ptr<Storage>, DType>, std::shared_ptr<Storage>> done;
  for (auto& [name, tensor] : tensors) {
    if (!is_floating(tensor.dtype())) continue;
    const Value& v = tensor.value();
    auto& storage = done[{v.storage, v.dtype}];
    if (!storage) storage = cast(numbers_in(v.storage, v.dtype), dtype).value().storage;
    const auto size = [](DType d) { return static_cast<int64_t>(size_of(d)); };
    tensor = Tensor(std::make_shared<const Value>(
        Value{storage, v.offset / size(v.dtype) * size(dtype), dtype, v.shape, v.strides}));
  }
}

bool is_part(const std::string& path) {
  return !holds_safetensors(path) && io::Reader(path).kind() != "state_dict";
}

int convert(const Options& o) {
  io::Container content;
  if (o.state && is_part(o.in)) {
    content.kind = "state_dict";
    content.tensors = load(o.in);
  } else {
    content = read_any(o.in);
  }
  if (!o.dtype.empty()) {
    const DType dtype = dtype_named(o.dtype);
    if (!is_floating(dtype)) throw DTypeError(fmt::format("convert: {} is no floating-point type", o.dtype));
    if (content.kind != "state_dict")
      throw Error(fmt::format(
          "convert: the dtypes of a {} belong to its graphs; convert its state with --state", content.kind));
    cast_floating(content.tensors, dtype);
  }
  const std::string lost = lost_in(o.out, content);
  write_any(o.out, std::move(content), codec_of(o.codec));
  if (!lost.empty()) fmt::print(stderr, "varve: {} is without {}\n", o.out, printable(lost));
  return 0;
}

int repack(const Options& o) {
  const io::Container content = io::read(o.in);
  const auto before = std::filesystem::file_size(o.in);
  io::write(o.in, content, {codec_of(o.codec)});
  fmt::print("{}: {} bytes, before {}\n", o.in, std::filesystem::file_size(o.in), before);
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<Options>();
  CLI::App* convert_command = app.add_subcommand("convert", "Write a file in another format, codec or dtype");
  convert_command->add_option("in", o->in, "The file to read")->required();
  convert_command->add_option("out", o->out, "The file to write: safetensors if it ends so, else .varve")
      ->required();
  convert_command->add_option("--dtype", o->dtype,
                              "What floating-point tensors become: f32, f64, f16 or bf16");
  convert_command->add_flag("--state", o->state, "Of a model or a checkpoint only the state dict");
  CLI::App* repack_command = app.add_subcommand("repack", "Write a .varve file anew with another codec");
  repack_command->add_option("file", o->in, "The file, replaced durably")->required();
  for (CLI::App* command : {convert_command, repack_command})
    command->add_option("--codec", o->codec, "none, zlib or zstd")->capture_default_str();
  convert_command->callback([=, &chosen] { chosen = [o] { return convert(*o); }; });
  repack_command->callback([=, &chosen] { chosen = [o] { return repack(*o); }; });
}

}  // namespace varve::cli
