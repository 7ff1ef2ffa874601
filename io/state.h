// State dicts as files: names and tensors, and no more.
#pragma once

#include <string>

#include <varve/core/named_tensors.h>

namespace varve {

// Writes a state dict, durably. Tensors that share memory share it in the file. Or IoError.
VARVE_API void save(const std::string& path, const NamedTensors& state);
// The state dict in a file of any kind: of a model its parameters and buffers, of a checkpoint its model's.
// IoError, or FormatError when the file is damaged or of another kind.
VARVE_API NamedTensors load(const std::string& path);

}  // namespace varve
