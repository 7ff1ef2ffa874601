// Index: what a file says of its content: kind, meta, storages, their chunks, and the tensors that view them.
// Encoded as sections by name, so that a reader may skip what it does not know, where the section allows it.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include <varve/core/shape.h>
#include <varve/io/checksum.h>
#include <varve/io/codec.h>
#include <varve/io/container.h>
#include <varve/io/element.h>
#include <varve/io/extent.h>
#include <varve/io/layout.h>
#include <varve/io/meta.h>

namespace varve::io {

struct TensorEntry {
  std::string name;
  ElementKind element = ElementKind::f32;
  Shape shape;
  Strides strides;  // in elements
  uint64_t storage = 0;
  int64_t offset = 0;  // bytes from the storage's start
};

struct StorageEntry {
  uint64_t bytes = 0;  // decoded
  Codec codec = Codec::none;
  uint32_t width = 1;
  uint64_t offset = 0;  // of its first chunk in the file; not stored, for it follows from the rest
  uint64_t stored_bytes = 0;
  size_t first_chunk = 0;  // in Index::chunks
  // Of the tensors that use it, not stored either.
  bool used = false;     // by a tensor
  bool carried = false;  // by a carried one, which has it to itself
  bool truths = false;   // by one of bool: each of its bytes is 0 or 1
  Extent reached;        // by those of core's kinds
  int64_t largest = 0;   // bytes of an element of those
  int spare_bits = 0;    // of its last byte, above what a carried tensor needs: they are zero
};

// The bits of a header's critical features that this program knows, by number: a codec that a storage may
// use.
inline constexpr uint64_t kZlibFeature = 1, kZstdFeature = 2, kKnownFeatures = 3;

struct VARVE_API Index {
  std::string kind;
  Meta meta;
  std::vector<StorageEntry> storages;               // in the order they lie in the file
  std::vector<ChunkRecord> chunks;                  // of all storages, in that order
  std::deque<TensorEntry> tensors;                  // grown piece by piece: few bytes of a file may list one
  std::vector<Section> sections;                    // that are kept
  std::unordered_map<std::string, size_t> by_name;  // which of the tensors; filled by decode_index

  // The names of the tensors that use a storage, or of the first of them, for messages.
  std::string users(size_t storage) const;
  uint64_t critical_features() const;
  // Where the storages end when laid out one after the other; sets their offsets.
  uint64_t lay_out();
};

// What is wrong with bytes of a storage, from `at` on; empty where nothing is.
VARVE_API std::string_view fault_in(const StorageEntry& storage, uint64_t at,
                                    std::span<const std::byte> bytes);

VARVE_API Bytes encode_index(const Index& index);
// Checks everything that can be wrong with an index, but for where its storages lie. An Error says what was
// found; one for a feature or section that is needed and not known names it.
VARVE_API Index decode_index(std::span<const std::byte> bytes, uint64_t critical, uint64_t ignorable);

// The fingerprint of the content: kind, meta, tensors by name, and the storages' decoded bytes by their
// checksums. The codec, the order of tensors, and further sections do not matter.
VARVE_API Fingerprint fingerprint_of(const Index& index);

}  // namespace varve::io
