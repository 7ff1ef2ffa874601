// varve verify FILE: reads every byte.
#include <fmt/format.h>

#include <varve/core/error.h>

#include "any_file.h"
#include "commands.h"
#include "printable.h"

namespace varve::cli {
namespace {

int verify(const std::string& path) {
  try {
    if (holds_safetensors(path)) {
      const io::Container c = read_any(path);
      fmt::print("{}: right in form, {} tensors; safetensors has no checksums\n", path,
                 c.tensors.size() + c.carried.size());
    } else {
      const io::Reader reader(path);
      reader.verify();
      fmt::print("{}: whole, {} tensors, fingerprint {}\n", path, reader.tensor_count(),
                 to_string(reader.fingerprint()));
    }
    return 0;
  } catch (const Error& e) {  // with path, offset and tensor
    fmt::print(stderr, "varve: {}\n", printable(e.what()));
    return 1;
  }
}

}  // namespace

void add_verify(CLI::App& app, Chosen& chosen) {
  auto path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("verify", "Read every byte of a file; exit with 1 if one is wrong");
  command->add_option("file", *path, "The file")->required();
  command->callback([=, &chosen] { chosen = [path] { return verify(*path); }; });
}

}  // namespace varve::cli
