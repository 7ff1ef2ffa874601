// varve convert IN OUT, varve repack FILE: the same content in another format, codec or dtype.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <string>
#include <tuple>

#include <varve/core/error.h>
#include <varve/core/ops/copy.h>
#include <varve/io/state.h>

#include "any_file.h"
#include "commands.h"

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

// Names of one tensor stay names of one.
void cast_floating(NamedTensors& tensors, DType dtype) {
  using Place = std::tuple<const Storage*, int64_t, DType, std::string, std::string>;
  std::map<Place, Tensor> done;
  for (auto& [name, tensor] : tensors) {
    if (!is_floating(tensor.dtype())) continue;
    const Value& v = tensor.value();
    Tensor& out = done[{v.storage.get(), v.offset, v.dtype, to_string(v.shape), to_string(v.strides)}];
    if (!out.defined()) out = cast(tensor, dtype);
    tensor = out;
  }
}

int convert(const Options& o) {
  io::Container content;
  if (o.state && !holds_safetensors(o.in)) {
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
  write_any(o.out, std::move(content), codec_of(o.codec));
  return 0;
}

int repack(const Options& o) {
  const auto before = std::filesystem::file_size(o.in);
  io::write(o.in, io::Reader(o.in).read(), {codec_of(o.codec)});
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
