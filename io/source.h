// Source: bytes asked for by offset, from a file, a mapping, a descriptor, a stream or memory. It has no
// position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>

#include <varve/io/meta.h>

namespace varve::io {

class VARVE_API Source {
 public:
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  const std::string& name() const { return name_; }  // for messages: a path, or what else it is
  uint64_t size() const { return size_; }            // when it was opened
  // Fills `out` with the bytes at `offset`; FormatError when the source ends before, IoError.
  virtual void read_at(uint64_t offset, std::span<std::byte> out) const = 0;
  // All of it where it lies in memory, else nothing.
  virtual std::span<std::byte> memory() const { return {}; }

 protected:
  explicit Source(std::string name) : name_(std::move(name)) {}
  [[noreturn]] void ends_early(uint64_t offset, uint64_t missing) const;

  std::string name_;
  uint64_t size_ = 0;
};
using SourcePtr = std::shared_ptr<const Source>;

// A regular file, read by pread; IoError when it cannot be opened or is none.
VARVE_API SourcePtr open_file(const std::string& path);
// The same, mapped: its bytes come from the disk when they are touched, and what is written to them stays
// with this process. The file must keep its length: touching what was cut off ends the process (SIGBUS).
VARVE_API SourcePtr map_file(const std::string& path);
// An open descriptor, which stays the caller's: a regular file from its start, else what comes until its end.
VARVE_API SourcePtr from_descriptor(int descriptor);
// What comes from a stream until its end.
VARVE_API SourcePtr from_stream(std::istream& stream);
VARVE_API SourcePtr from_memory(Bytes bytes);
// Borrowed: the bytes must outlive the source, and tensors that were mapped from it.
VARVE_API SourcePtr from_memory(std::span<const std::byte> bytes);

}  // namespace varve::io
