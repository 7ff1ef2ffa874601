// The .varve container: tensors by name, and one Meta. docs/format.md specifies its bytes; writer.cpp writes
// and reader.cpp reads them.
#pragma once

#include <string>

#include <varve/core/named_tensors.h>
#include <varve/io/meta.h>

namespace varve::io {

struct Container {
  std::string kind;      // "state_dict", "model", "checkpoint"
  Meta meta;             // what the kind needs besides tensors
  NamedTensors tensors;  // names are unique; tensors that share a storage are stored once and share it again
};

// Writes durably: the file is the old one or the new one, whole, whatever happens. Same content, same bytes.
VARVE_API void write(const std::string& path, const Container& container);
// Reads and verifies every byte; FormatError with path and offset when something is wrong.
VARVE_API Container read(const std::string& path);

}  // namespace varve::io
