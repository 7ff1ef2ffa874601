// Reads complete or throws: interrupted and short ones go on.
#include <varve/io/source.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <istream>

#include <varve/core/error.h>

namespace varve::io {

void Source::ends_early(uint64_t offset, uint64_t missing) const {
  throw FormatError(name_, offset, fmt::format("the file ends {} bytes early", missing));
}

namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;  // of what comes from a stream

// A descriptor of a regular file.
class FileSource : public Source {
 public:
  FileSource(std::string name, int descriptor, bool owned)
      : Source(std::move(name)), descriptor_(descriptor), owned_(owned) {
    struct stat status {};
    const int code = ::fstat(descriptor_, &status) != 0 ? errno
                     : S_ISREG(status.st_mode)          ? 0
                     : S_ISDIR(status.st_mode)          ? EISDIR
                                                        : EINVAL;
    size_ = static_cast<uint64_t>(status.st_size);
    if (code == 0) return;
    close();
    throw IoError(name_, code, "read: required is a regular file");
  }
  ~FileSource() override { close(); }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw IoError(name_, errno, fmt::format("read: cannot read at byte {}", offset));
      if (got == 0) ends_early(offset, out.size());
      offset += static_cast<uint64_t>(got);
      out = out.subspan(static_cast<size_t>(got));
    }
  }
  int descriptor() const { return descriptor_; }

 private:
  void close() const {
    if (owned_) ::close(descriptor_);
  }
  int descriptor_;
  bool owned_;
};

class InMemory : public Source {
 public:
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    const uint64_t left = offset < size_ ? size_ - offset : 0;
    if (out.size() > left) ends_early(offset + left, out.size() - left);
    if (!out.empty()) std::memcpy(out.data(), data_ + offset, out.size());
  }
  std::span<std::byte> memory() const override { return {data_, size_}; }

 protected:
  using Source::Source;
  std::byte* data_ = nullptr;
};

// Pages of its own as soon as they are written to: the file never changes.
class MappedSource : public InMemory {
 public:
  explicit MappedSource(const FileSource& file) : InMemory(file.name()) {
    size_ = file.size();
    if (size_ == 0) return;
    void* mapped = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.descriptor(), 0);
    if (mapped == MAP_FAILED) throw IoError(name_, errno, fmt::format("read: cannot map {} bytes", size_));
    data_ = static_cast<std::byte*>(mapped);
  }
  ~MappedSource() override {
    if (data_) ::munmap(data_, size_);
  }
};

class MemorySource : public InMemory {
 public:
  MemorySource(std::string name, Bytes bytes) : InMemory(std::move(name)), bytes_(std::move(bytes)) {
    data_ = bytes_.data();
    size_ = bytes_.size();
  }

 private:
  Bytes bytes_;
};

class BorrowedSource : public InMemory {
 public:
  explicit BorrowedSource(std::span<const std::byte> bytes) : InMemory("memory") {
    data_ =
        const_cast<std::byte*>(bytes.data());  // mapped tensors over it are read only by their user's word
    size_ = bytes.size();
  }
};

int opened(const std::string& path) {
  // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw IoError(path, errno, "read: cannot open the file");
  return descriptor;
}

// All that `read(piece)` gives, until it gives nothing.
template <class Read>
Bytes everything(Read read) {
  Bytes bytes;
  size_t end = 0;
  for (;;) {
    bytes.resize(std::max(end + kPieceBytes, bytes.size() == end ? 2 * end : bytes.size()));
    const size_t got = read(std::span(bytes).subspan(end));
    if (got == 0) break;
    end += got;
  }
  bytes.resize(end);
  return bytes;
}

}  // namespace

SourcePtr open_file(const std::string& path) {
  return std::make_shared<FileSource>(path, opened(path), true);
}

SourcePtr map_file(const std::string& path) {
  return std::make_shared<MappedSource>(FileSource(path, opened(path), true));
}

SourcePtr from_descriptor(int descriptor) {
  const std::string name = fmt::format("descriptor {}", descriptor);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw IoError(name, errno, "read: cannot use the descriptor");
  if (S_ISREG(status.st_mode)) return std::make_shared<FileSource>(name, descriptor, false);
  return std::make_shared<MemorySource>(name, everything([&](std::span<std::byte> piece) {
                                          for (;;) {
                                            const ssize_t got =
                                                ::read(descriptor, piece.data(), piece.size());
                                            if (got >= 0) return static_cast<size_t>(got);
                                            if (errno != EINTR)
                                              throw IoError(name, errno, "read: cannot read");
                                          }
                                        }));
}

SourcePtr from_stream(std::istream& stream) {
  if (!stream) throw IoError("stream", EIO, "read: it failed before the first byte; was the file found?");
  Bytes bytes = everything([&](std::span<std::byte> piece) {
    try {
      stream.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    } catch (const std::ios_base::failure&) {  // its state says the same, whatever it was told to throw at
    }
    return static_cast<size_t>(stream.gcount());
  });
  if (stream.bad()) throw IoError("stream", EIO, "read: cannot read");
  return std::make_shared<MemorySource>("stream", std::move(bytes));
}

SourcePtr from_memory(Bytes bytes) { return std::make_shared<MemorySource>("memory", std::move(bytes)); }

SourcePtr from_memory(std::span<const std::byte> bytes) { return std::make_shared<BorrowedSource>(bytes); }

}  // namespace varve::io
