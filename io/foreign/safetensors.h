// safetensors: the format PyTorch's users hand a state dict over in. A JSON header of names, dtypes, shapes
// and offsets, then the bytes; no checksum, no ties, no strides. https://github.com/huggingface/safetensors
#pragma once

#include <varve/io/container.h>
#include <varve/io/source.h>

namespace varve::io {

// Whether it begins as one does, or is named .safetensors and does not begin as a .varve file.
VARVE_API bool is_safetensors(const Source& source);
// A state dict, whose meta is the map of strings that the file calls __metadata__. FormatError unless
// everything holds: a header of at most 100 MB and within the file, no key twice, known dtypes, shapes that
// fit their bytes, and bytes that follow each other without hole or overlap to the end of the file.
VARVE_API Container read_safetensors(const SourcePtr& source);
// The same; of a source that lies in memory (a mapping) tensors are used in place where they are aligned, and
// keep it open.
VARVE_API Container map_safetensors(const SourcePtr& source);
// Tied tensors are written once each. Of meta only strings are kept, under __metadata__. An Error names a
// tensor whose kind safetensors lacks.
VARVE_API void write_safetensors(Sink& sink, const Container& container);
// Durably.
VARVE_API void write_safetensors(const std::string& path, const Container& container);

}  // namespace varve::io
