// The sequence: a temporary file, its bytes, sync, close, rename, sync the folder. Each step is checked.
#include <varve/io/durable.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <numeric>
#include <optional>
#include <utility>

#include <varve/core/error.h>

namespace varve::io {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxLinks = 40;  // as in the kernel
constexpr int kMaxTemporaries =
    1000;  // names tried: more than writers at work in one folder, and left by crashes

// Where `path` leads through symbolic links; the last one may point to a file that is not there yet.
fs::path resolved(const std::string& path) {
  fs::path target = path;
  std::error_code error;
  for (int links = 0; fs::is_symlink(fs::symlink_status(target, error)); ++links) {
    if (links == kMaxLinks) throw IoError(path, ELOOP, "save: cannot follow the symbolic link");
    target = target.parent_path() / fs::read_symlink(target, error);
    if (error) throw IoError(path, error.value(), "save: cannot follow the symbolic link");
  }
  return target;
}

// The mode of the file to be replaced, if there is one.
std::optional<mode_t> mode_of(const fs::path& target) {
  struct stat status {};
  if (::stat(target.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    throw IoError(target, errno, "save: cannot look at the file to replace");
  }
  if (!S_ISREG(status.st_mode))
    throw IoError(target, S_ISDIR(status.st_mode) ? EISDIR : EINVAL, "save: can only replace a regular file");
  return status.st_mode & 07777;
}

// A new file beside `target` under a name of its own; gone with this object unless it was renamed.
class Temporary {
 public:
  explicit Temporary(const fs::path& target) : target_(target) {
    for (int i = 0; i < kMaxTemporaries; ++i) {
      path_ = folder() / fmt::format(".varve-{}-{}.tmp", ::getpid(), i);
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ >= 0) return;
      if (errno != EEXIST) break;
    }
    fail(errno, "cannot create a file beside it");
  }
  ~Temporary() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!renamed_) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  void set_mode(mode_t mode) { check(::fchmod(descriptor_, mode), "cannot keep the file's mode"); }

  void append(std::span<const std::byte> bytes, uint64_t total) {
    while (!bytes.empty()) {
      const ssize_t wrote = ::write(descriptor_, bytes.data(), bytes.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail(errno, full(errno, total));
      bytes = bytes.subspan(static_cast<size_t>(wrote));
    }
  }

  // Bytes and length reach the disk before the name does.
  void commit(uint64_t total) {
    while (::fsync(descriptor_) != 0)
      if (errno != EINTR) fail(errno, full(errno, total));
    const int closed = ::close(std::exchange(descriptor_, -1));
    if (closed != 0 && errno != EINTR) fail(errno, full(errno, total));  // after EINTR, Linux has closed it
    check(::rename(path_.c_str(), target_.c_str()), "cannot rename the new file over it");
    renamed_ = true;
    sync_folder();
  }

 private:
  [[noreturn]] void fail(int code, const std::string& what) const {
    throw IoError(target_, code, "save: " + what);
  }
  void check(int result, const char* what) const {
    if (result != 0) fail(errno, what);
  }
  static std::string full(int code, uint64_t total) {
    if (code != ENOSPC && code != EDQUOT && code != EFBIG) return "cannot write the new file";
    return fmt::format(
        "no room for the new file of {} bytes, which the old one stays beside until it is whole", total);
  }
  fs::path folder() const { return target_.has_parent_path() ? target_.parent_path() : fs::path("."); }

  void sync_folder() const {
    const int folder_descriptor = ::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = folder_descriptor < 0 ? errno : 0;
    while (code == 0 && ::fsync(folder_descriptor) != 0)
      if (errno != EINTR) code = errno;
    if (folder_descriptor >= 0) ::close(folder_descriptor);
    // Some file systems cannot sync a folder, and some folders may be written but not opened: so be it.
    if (code != 0 && code != EINVAL && code != ENOTSUP && code != EACCES)
      fail(
          code,
          "the new file is in place, but its folder could not be synced: a crash may bring the old one back");
  }

  fs::path target_, path_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

}  // namespace

void durable_write(const std::string& path, std::span<const std::span<const std::byte>> pieces) {
  const uint64_t total = std::accumulate(pieces.begin(), pieces.end(), uint64_t{0},
                                         [](uint64_t sum, const auto& piece) { return sum + piece.size(); });
  const fs::path target = resolved(path);
  const std::optional<mode_t> mode = mode_of(target);
  Temporary file(target);
  if (mode) file.set_mode(*mode);
  for (const auto& piece : pieces) file.append(piece, total);
  file.commit(total);
}

void durable_write(const std::string& path, std::span<const std::byte> bytes) {
  durable_write(path, std::span(&bytes, 1));
}

}  // namespace varve::io
