// State dicts as files: names and tensors, and no more.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <varve/core/members.h>
#include <varve/core/named_tensors.h>
#include <varve/io/container.h>

namespace varve {

// How the names in a file become those in the program: what matches the regular expression (ECMAScript's) is
// replaced, "$1" being what its first parentheses matched.
struct Rename {
  std::string pattern, replacement;
  // Of names that begin with `from`, that part.
  VARVE_API static Rename prefix(std::string_view from, std::string_view to);
};

struct LoadOptions {
  bool strict = true;          // an Error lists every difference, else it is only reported
  bool cast = false;           // dtypes that differ are converted
  std::vector<Rename> rename;  // each in turn, to each name of the file
};

// Writes a state dict, durably. Tensors that share memory share it in the file. Or IoError.
VARVE_API void save(const std::string& path, const NamedTensors& state, const io::WriteOptions& options = {});

// The state dict in a file of any kind: of a model its parameters and buffers, of a checkpoint its model's.
// IoError, or FormatError when the file is damaged or of another kind.
VARVE_API NamedTensors load(const std::string& path);
// The tensors of these names only; the rest of the file is not read. Error where one is missing.
VARVE_API NamedTensors load(const std::string& path, std::span<const std::string> names);

// Fills `target` from a file without keeping more than a chunk of it for each thread, or three where a codec
// made it (of tensors stored with gaps or backwards: their storage; of two that become one: both), and, of
// what lies on a device, all in that device's memory. The file is verified first, so that nothing is written
// when it is damaged or, if strict, differs.
VARVE_API LoadReport load_into(const NamedTensors& target, const std::string& path,
                               const LoadOptions& options = {});
template <class M>
LoadReport load_state_dict(const M& module, const std::string& path, const LoadOptions& options = {}) {
  return load_into(state_dict(module), path, options);
}

// `state` under other names; an Error where two would have the same.
VARVE_API NamedTensors renamed(const NamedTensors& state, const std::vector<Rename>& rename);

}  // namespace varve
