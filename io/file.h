// File: a regular file open for reading. Bytes are asked for by offset, so a File has no position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <varve/core/export.h>

namespace varve::io {

class VARVE_API File {
 public:
  explicit File(std::string path);  // IoError when it cannot be opened, or is no regular file
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened
  // Fills `out` with the bytes at `offset`; FormatError when the file ends before.
  void read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace varve::io
