// The system's own calls. Those that a signal interrupts go on, close but for: Linux has closed all the same.
#include <varve/io/file_system.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace varve::io {
namespace {

// What a call gives, again where a signal came between.
template <class Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return static_cast<decltype(result)>(-errno);
  }
}

FileKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::regular;
  if (S_ISDIR(mode)) return FileKind::folder;
  return S_ISLNK(mode) ? FileKind::link : FileKind::other;
}

class SystemFiles : public FileSystem {
 public:
  int open_folder(const std::string& path) override {
    return uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  }
  int make_folder(const std::string& path) override {
    return uninterrupted([&] { return ::mkdir(path.c_str(), 0777); });
  }
  SourcePtr open(const std::string& path) override { return open_file(path); }
  int status(int folder, const std::string& name, FileStatus& status) override {
    struct stat found {};
    const int code =
        uninterrupted([&] { return ::fstatat(folder, name.c_str(), &found, AT_SYMLINK_NOFOLLOW); });
    if (code == 0) status = {kind_of(found.st_mode), found.st_mode & 07777u};
    return code;
  }
  int read_link(int folder, const std::string& name, std::string& target) override {
    char text[PATH_MAX];
    const ssize_t length =
        uninterrupted([&] { return ::readlinkat(folder, name.c_str(), text, sizeof text); });
    if (length < 0) return static_cast<int>(length);
    target.assign(text, static_cast<size_t>(length));
    return 0;
  }
  int list(int folder, std::vector<std::string>& names) override {
    const int copy = uninterrupted([&] { return ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (copy < 0) return copy;
    DIR* entries = ::fdopendir(copy);
    if (!entries) {
      const int code = -errno;
      ::close(copy);
      return code;
    }
    errno = 0;
    while (const dirent* entry = ::readdir(entries)) {
      if (const std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int code = -errno;
    ::closedir(entries);
    return code;
  }
  int create(int folder, const std::string& name, uint32_t mode) override {
    return uninterrupted(
        [&] { return ::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode); });
  }
  int set_mode(int file, uint32_t mode) override {
    return uninterrupted([&] { return ::fchmod(file, mode); });
  }
  int reserve(int file, uint64_t bytes) override {
    return ::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0 ? 0 : -errno;
  }
  int64_t write(int file, std::span<const std::byte> bytes) override {
    return uninterrupted([&] { return ::write(file, bytes.data(), bytes.size()); });
  }
  int sync(int descriptor) override { return ::fsync(descriptor) == 0 ? 0 : -errno; }
  int close(int descriptor) override { return ::close(descriptor) == 0 || errno == EINTR ? 0 : -errno; }
  int rename(int folder, const std::string& from, const std::string& to) override {
    return uninterrupted([&] { return ::renameat(folder, from.c_str(), folder, to.c_str()); });
  }
  int remove(int folder, const std::string& name) override {
    return uninterrupted([&] { return ::unlinkat(folder, name.c_str(), 0); });
  }
};

}  // namespace

FileSystem& system_files() {
  static SystemFiles files;
  return files;
}

}  // namespace varve::io
