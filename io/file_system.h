// FileSystem: every file operation of a save, so that a test can stand in for the disk. Each is one system
// call and answers as that does, but with -errno for an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <varve/core/export.h>
#include <varve/io/source.h>

namespace varve::io {

enum class FileKind : uint8_t { regular, folder, link, other };
struct FileStatus {
  FileKind kind = FileKind::regular;
  uint32_t mode = 0;  // permissions
};

class VARVE_API FileSystem {
 public:
  virtual ~FileSystem() = default;

  // A descriptor of the folder at `path`; the names below are relative to one.
  virtual int open_folder(const std::string& path) = 0;
  virtual int make_folder(const std::string& path) = 0;
  virtual SourcePtr open(const std::string& path) = 0;  // a file, to be read; IoError
  virtual int status(int folder, const std::string& name, FileStatus& status) = 0;  // of a link itself
  virtual int read_link(int folder, const std::string& name, std::string& target) = 0;
  virtual int list(int folder, std::vector<std::string>& names) = 0;  // in any order
  // A descriptor of a new, empty file; -EEXIST where the name is taken. It has the mode's bits that the umask
  // leaves.
  virtual int create(int folder, const std::string& name, uint32_t mode) = 0;
  virtual int set_mode(int file, uint32_t mode) = 0;
  virtual int reserve(int file, uint64_t bytes) = 0;  // room, without a change of length
  virtual int64_t write(int file, std::span<const std::byte> bytes) = 0;
  virtual int sync(int descriptor) = 0;  // a file's bytes and length, or a folder's names
  virtual int close(int descriptor) = 0;
  virtual int rename(int folder, const std::string& from, const std::string& to) = 0;
  virtual int remove(int folder, const std::string& name) = 0;
};

// The one of this machine.
VARVE_API FileSystem& system_files();

// A descriptor that is closed at the end, whatever happens.
class Descriptor {
 public:
  Descriptor(FileSystem& files, int number) : files_(&files), number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) files_->close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return number_; }
  // 0 or -errno: a disk may say only here that it has not kept what was written.
  int close() { return files_->close(std::exchange(number_, -1)); }

 private:
  FileSystem* files_;
  int number_;
};

}  // namespace varve::io
