// Reader: an open .varve file. Header, index and footer are verified when it is opened; the data when it is
// asked for.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <varve/io/checksum.h>
#include <varve/io/container.h>
#include <varve/io/source.h>

namespace varve::io {

struct Index;
struct TensorEntry;

// What a file says of one of its tensors.
struct TensorInfo {
  std::string name;
  ElementKind element = ElementKind::f32;
  Shape shape;
  Strides strides;
  size_t storage = 0;  // tensors of the same one share memory
  int64_t start = 0;   // bytes from the storage's start
  Codec codec = Codec::none;
  uint64_t offset = 0;        // of its storage in the file
  uint64_t stored_bytes = 0;  // of its storage in the file
};

class VARVE_API Reader {
 public:
  // FormatError, with what was found and where, unless header, index and footer are right.
  explicit Reader(SourcePtr source);
  explicit Reader(const std::string& path) : Reader(open_file(path)) {}
  ~Reader();
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;

  const std::string& name() const { return source_->name(); }
  const std::string& kind() const;
  const Meta& meta() const;
  int minor_version() const { return minor_; }  // of the format, 1.x
  // Names the content, whatever the codec and the order of writing.
  Fingerprint fingerprint() const;
  // A deque, since a file of tiny tensors has fewer bytes than what is said of them: no large piece of
  // memory.
  std::deque<TensorInfo> tensors() const;
  size_t tensor_count() const;
  const std::vector<Section>& sections() const;  // that a reader may skip

  // Reads every byte; FormatError names the tensor and the offset of the first damage.
  void verify() const;
  // Everything, verified.
  Container read() const;
  // The tensors of these names, verified, in that order; an Error names one that is not there.
  NamedTensors read(std::span<const std::string> names) const;
  // Everything; of a source that lies in memory (a mapping) uncoded tensors are used in place, and their
  // bytes are not verified, but for those of bool. They keep the source open. Writing to them changes memory,
  // not the file; this reader takes what was written for damage.
  Container map() const;
  // Fills each of `targets` with the tensor of its name and shape, converted where the dtypes differ, keeping
  // no more than a chunk for each thread, or three of a coded one, of what lies dense in the file, in any
  // order of its axes. What is for a device is kept there until all is verified; then the first is written
  // to.
  void read_into(const NamedTensors& targets) const;

 private:
  [[noreturn]] void fail(uint64_t offset, const std::string& found) const;
  void open();
  Container assemble(const std::vector<std::shared_ptr<Storage>>& storages) const;
  const TensorEntry& entry(const std::string& name) const;
  std::vector<size_t> all_storages() const;

  SourcePtr source_;
  std::unique_ptr<Index> index_;
  uint64_t index_offset_ = 0;
  int minor_ = 0;
};

}  // namespace varve::io
