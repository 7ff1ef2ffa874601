// Reads complete or throws: interrupted and short ones go on.
#include <varve/io/file.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <varve/core/error.h>

namespace varve::io {

File::File(std::string path) : path_(std::move(path)) {
  // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw IoError(path_, errno, "read: cannot open the file");
  struct stat status {};
  const int code = ::fstat(descriptor_, &status) != 0 ? errno
                   : S_ISREG(status.st_mode)          ? 0
                   : S_ISDIR(status.st_mode)          ? EISDIR
                                                      : EINVAL;
  if (code != 0) {
    ::close(descriptor_);
    throw IoError(path_, code, "read: required is a regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

File::~File() { ::close(descriptor_); }

void File::read_at(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw IoError(path_, errno, fmt::format("read: cannot read at byte {}", offset));
    if (got == 0) throw FormatError(path_, offset, fmt::format("the file ends {} bytes early", out.size()));
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
}

}  // namespace varve::io
