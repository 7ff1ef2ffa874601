// The sequence: a temporary file, room, bytes, mode, sync, close, rename, sync the folder. Each step is
// checked.
#include <varve/io/durable.h>

#include <fmt/format.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <varve/core/error.h>

namespace varve::io {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxLinks = 40;          // as in the kernel
constexpr int kMaxTemporaries = 1000;  // names tried: more than savers at work, and left by crashes
constexpr int kMaxTries = 3;           // of syncing, each with a new file

std::string_view remedy(int code) {
  switch (-code) {
    case ENOSPC:
      return "there is no room for it beside the old one: make some, or save to another disk";
    case EDQUOT:
      return "make room for it within the quota, or have that raised";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f), or save to a disk that takes such files";
    case EIO:
      return "the disk may be failing: save to another one";
    case EACCES:
    case EPERM:
    case EROFS:
      return "make the folder readable and writable, or save elsewhere";
    case EMFILE:
    case ENFILE:
      return "close other files first";
    case ENOENT:
    case ENOTDIR:
      return "make the folder first";
    default:
      return "save again, or elsewhere";
  }
}

// The folder and the name that `path` leads to; the last link may point to a file that is not there yet.
struct Place {
  fs::path folder;
  std::string name;
  explicit Place(const fs::path& path)
      : folder(path.has_parent_path() ? path.parent_path() : fs::path(".")), name(path.filename()) {}
};

class Saving {
 public:
  Saving(const std::string& path, const DurableOptions& options)
      : path_(path), options_(options), place_(path) {
    open_target();
  }

  void run(const std::function<void(Sink&)>& content) {
    for (int tries = 1;; ++tries) {
      if (written(content, tries == kMaxTries)) break;
    }
    // Some file systems cannot sync a folder: so be it. A signal only came between.
    int code = 0;
    do code = files().sync(**folder_);
    while (code == -EINTR);
    if (code != 0 && code != -EINVAL && code != -EOPNOTSUPP)
      fail(code,
           "the new file is in place, but its folder could not be synced: a power loss may bring the "
           "old one back; save again once the disk is well");
  }

 private:
  FileSystem& files() const { return *options_.files; }
  [[noreturn]] void fail(int code, const std::string& what) const {
    throw IoError(path_, -code, "save: " + what);
  }

  // Follows links, and looks at what is to be replaced.
  void open_target() {
    for (int links = 0;; ++links) {
      if (place_.name.empty() || place_.name == "." || place_.name == "..")
        fail(-EISDIR, "required is a file's name");
      const int folder = files().open_folder(place_.folder);
      if (folder < 0)
        fail(folder, fmt::format("cannot open its folder {}; {}", place_.folder.string(), remedy(folder)));
      folder_.emplace(files(), folder);
      FileStatus status;
      const int code = files().status(folder, place_.name, status);
      if (code == -ENOENT) return;
      if (code != 0) fail(code, fmt::format("cannot look at the file to replace; {}", remedy(code)));
      if (status.kind == FileKind::regular) {
        mode_ = status.mode;
        return;
      }
      if (status.kind != FileKind::link)
        fail(status.kind == FileKind::folder ? -EISDIR : -EINVAL,
             "can only replace a regular file; save elsewhere");
      std::string target;
      const int read = links < kMaxLinks ? files().read_link(folder, place_.name, target) : -ELOOP;
      if (read != 0) fail(read, fmt::format("cannot follow the symbolic link; {}", remedy(read)));
      place_ = Place(place_.folder / target);
    }
  }

  // Whether a new file took the old one's place; false where the disk did not sync it and it is worth another
  // try.
  bool written(const std::function<void(Sink&)>& content, bool last) {
    Temporary file(*this);
    if (options_.bytes > 0) {
      const int code = files().reserve(*file.descriptor, options_.bytes);
      // Some disks cannot, and signals could interrupt it for ever: then writing finds out whether there is
      // room.
      if (code != -EOPNOTSUPP && code != -ENOSYS && code != -EINVAL && code != -EINTR)
        file.check(code, "reserve room for");
    }
    content(file);
    if (mode_) file.check(files().set_mode(*file.descriptor, *mode_), "set the mode of");
    // After a sync that failed, the system may call the same bytes clean: another sync would tell nothing.
    const int code = files().sync(*file.descriptor);
    if ((code == -EIO || code == -EINTR) && !last) return false;
    file.check(code, "sync");
    file.check(file.descriptor.close(), "close");
    file.check(files().rename(**folder_, file.name, place_.name), "put in place");
    file.name.clear();
    return true;
  }

  // A new file beside the target under a name of its own; gone with this object unless it was renamed.
  class Temporary : public Sink {
   public:
    explicit Temporary(Saving& saving) : descriptor(saving.files(), create(saving)), saving_(saving) {}
    ~Temporary() override { discard(); }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    void write(std::span<const std::byte> bytes) override {
      written_ += bytes.size();
      while (!bytes.empty()) {
        const int64_t wrote = saving_.files().write(*descriptor, bytes);
        if (wrote == -EINTR) continue;
        if (wrote <= 0) check(wrote == 0 ? -EIO : static_cast<int>(wrote), "write");
        bytes = bytes.subspan(static_cast<size_t>(wrote));
      }
    }
    // Throws unless `code` is 0, and says whether anything is left behind.
    void check(int code, const char* step) {
      if (code == 0) return;
      const std::string left = name;
      saving_.fail(
          code,
          fmt::format("cannot {} the new file of {} bytes; the old one, if any, is untouched{}; {}", step,
                      needed(), discard() ? "" : fmt::format(", {} is left behind", left), remedy(code)));
    }
    std::string name;
    Descriptor descriptor;

   private:
    int create(Saving& saving) {
      for (int i = 0; i < kMaxTemporaries; ++i) {
        name = fmt::format(".{}.varve-{}-{}", saving.place_.name.substr(0, 200), ::getpid(), i);
        // Not even for a moment may more people open it than the old one.
        const int file = saving.files().create(**saving.folder_, name, saving.mode_.value_or(0666) & 0777u);
        if (file >= 0) return file;
        if (file != -EEXIST)
          saving.fail(file, fmt::format("cannot create a file beside it; {}", remedy(file)));
      }
      saving.fail(-EEXIST, fmt::format("cannot create a file beside it: {} names are taken; remove what dead "
                                       "savers left, {}",
                                       kMaxTemporaries, name));
    }
    bool discard() {
      const std::string discarded = std::exchange(name, "");
      const int code = discarded.empty() ? 0 : saving_.files().remove(**saving_.folder_, discarded);
      return code == 0 || code == -ENOENT;
    }
    // How many bytes, as well as it is known.
    std::string needed() const {
      const auto& [bytes, files, at_most] = saving_.options_;
      if (bytes == 0 && at_most > written_) return fmt::format("at most {}", at_most);
      return fmt::format("{}", std::max(bytes, written_));
    }
    Saving& saving_;
    uint64_t written_ = 0;
  };

  std::string path_;
  DurableOptions options_;
  Place place_;
  std::optional<Descriptor> folder_;
  std::optional<uint32_t> mode_;
};

// A file that grows beyond the limit of this process (ulimit -f) is an error, and not the end of the process
// by SIGXFSZ.
class NoSizeSignal {
 public:
  NoSizeSignal() {
    ::sigemptyset(&only_);
    ::sigaddset(&only_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &only_, &old_);
  }
  ~NoSizeSignal() {
    if (::sigismember(&old_, SIGXFSZ) == 1) return;
    const timespec now{};
    ::sigtimedwait(&only_, nullptr, &now);  // what came meanwhile
    ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }
  NoSizeSignal(const NoSizeSignal&) = delete;
  NoSizeSignal& operator=(const NoSizeSignal&) = delete;

 private:
  sigset_t only_, old_;
};

}  // namespace

void durable_write(const std::string& path, const DurableOptions& options,
                   const std::function<void(Sink&)>& content) {
  const NoSizeSignal guard;
  Saving(path, options).run(content);
}

void durable_write(const std::string& path, std::span<const std::byte> bytes, FileSystem& files) {
  durable_write(path, {bytes.size(), &files}, [&](Sink& sink) { sink.write(bytes); });
}

}  // namespace varve::io
