// The .varve container: tensors by name, and one Meta. docs/format.md specifies its bytes; writer.cpp writes
// and reader.cpp reads them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <varve/core/named_tensors.h>
#include <varve/io/codec.h>
#include <varve/io/element.h>
#include <varve/io/meta.h>
#include <varve/io/sink.h>

namespace varve::io {

// A tensor of a kind that core does not compute with: its bytes as they are, packed and row-major.
struct Carried {
  std::string name;
  ElementKind element = ElementKind::complex64;
  Shape shape;
  std::shared_ptr<Storage> bytes;  // packed_bytes(numel(shape), bits) of them
};

// A further section of a file, which who does not know it skips and writes again as it was.
struct Section {
  std::string name;
  Bytes bytes;
  bool operator==(const Section&) const = default;
};

class FileSystem;

struct Container {
  std::string kind;      // "state_dict", "model", "checkpoint"
  Meta meta;             // what the kind needs besides tensors
  NamedTensors tensors;  // names are unique; tensors that share a storage are stored once and share it again
  std::vector<Carried> carried;   // their names are unique among all
  std::vector<Section> sections;  // no part of the content that a fingerprint names
};

// How the names of some tensors begin: a model's constants, and the model in a checkpoint.
inline constexpr std::string_view kConstantPart = "constant:", kModelPart = "model:";

struct WriteOptions {
  Codec codec = Codec::none;  // of every chunk that it makes shorter
};

// Writes durably: the file is the old one or the new one, whole, whatever happens. Same content, same bytes.
VARVE_API void write(const std::string& path, const Container& container, const WriteOptions& options = {});
VARVE_API void write(const std::string& path, const Container& container, const WriteOptions& options,
                     FileSystem& files);
// Writes front to back.
VARVE_API void write(Sink& sink, const Container& container, const WriteOptions& options = {});
// Reads and verifies every byte; FormatError with path and offset when something is wrong.
VARVE_API Container read(const std::string& path);

}  // namespace varve::io
