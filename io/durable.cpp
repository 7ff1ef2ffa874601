// The sequence: a temporary file, room, bytes, mode, sync, close, rename, sync the folder. Each step is
// checked.
#include <varve/io/durable.h>

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include <varve/core/error.h>

namespace varve::io {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxLinks = 40;          // as in the kernel
constexpr int kMaxTemporaries = 1000;  // names tried: more than savers at work, and left by crashes
constexpr int kMaxTries = 3;           // of syncing, each with a new file

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
    // Some file systems cannot sync a folder: so be it.
    const int code = files().sync(**folder_);
    if (code != 0 && code != -EINVAL && code != -EOPNOTSUPP)
      fail(
          code,
          "the new file is in place, but its folder could not be synced: a crash may bring the old one back");
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
      if (folder < 0) fail(folder, fmt::format("cannot open its folder {}", place_.folder.string()));
      folder_.emplace(files(), folder);
      FileStatus status;
      const int code = files().status(folder, place_.name, status);
      if (code == -ENOENT) return;
      if (code != 0) fail(code, "cannot look at the file to replace");
      if (status.kind == FileKind::regular) {
        mode_ = status.mode;
        return;
      }
      if (status.kind != FileKind::link)
        fail(status.kind == FileKind::folder ? -EISDIR : -EINVAL, "can only replace a regular file");
      std::string target;
      const int read = links < kMaxLinks ? files().read_link(folder, place_.name, target) : -ELOOP;
      if (read != 0) fail(read, "cannot follow the symbolic link");
      place_ = Place(place_.folder / target);
    }
  }

  // Whether a new file took the old one's place; false where the disk did not sync it and it is worth another
  // try.
  bool written(const std::function<void(Sink&)>& content, bool last) {
    Temporary file(*this);
    if (options_.bytes > 0) {
      const int code = files().reserve(*file.descriptor, options_.bytes);
      if (code != 0 && code != -EOPNOTSUPP && code != -ENOSYS && code != -EINVAL) fail_writing(code);
    }
    content(file);
    if (mode_)
      if (const int code = files().set_mode(*file.descriptor, *mode_); code != 0)
        fail(code, "cannot keep the mode");
    // After a sync that failed, the system may call the same bytes clean: another sync would tell nothing.
    if (const int code = files().sync(*file.descriptor); code != 0) {
      if (last || code != -EIO) fail_writing(code);
      return false;
    }
    if (const int code = file.descriptor.close(); code != 0) fail_writing(code);
    if (const int code = files().rename(**folder_, file.name, place_.name); code != 0)
      fail(code, "cannot rename the new file over it");
    file.name.clear();
    return true;
  }

  [[noreturn]] void fail_writing(int code) const {
    const std::string size = options_.bytes ? fmt::format(" of {} bytes", options_.bytes) : "";
    if (code == -ENOSPC || code == -EDQUOT)
      fail(code,
           fmt::format(
               "no room for the new file{}, which the old one stays beside until it is whole; make room "
               "and save again",
               size));
    if (code == -EFBIG)
      fail(code, fmt::format("the new file{} is larger than this file system or a limit allows", size));
    fail(code, fmt::format("cannot write the new file{}; the disk may be failing", size));
  }

  // A new file beside the target under a name of its own; gone with this object unless it was renamed.
  class Temporary : public Sink {
   public:
    explicit Temporary(Saving& saving) : descriptor(saving.files(), create(saving)), saving_(saving) {}
    ~Temporary() override {
      if (!name.empty()) saving_.files().remove(**saving_.folder_, name);
    }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    void write(std::span<const std::byte> bytes) override {
      while (!bytes.empty()) {
        const int64_t wrote = saving_.files().write(*descriptor, bytes);
        if (wrote == -EINTR) continue;
        if (wrote <= 0) saving_.fail_writing(wrote == 0 ? -EIO : static_cast<int>(wrote));
        bytes = bytes.subspan(static_cast<size_t>(wrote));
      }
    }
    std::string name;
    Descriptor descriptor;

   private:
    int create(Saving& saving) {
      for (int i = 0; i < kMaxTemporaries; ++i) {
        name = fmt::format(".{}.varve-{}-{}", saving.place_.name.substr(0, 200), ::getpid(), i);
        const int file = saving.files().create(**saving.folder_, name);
        if (file >= 0) return file;
        if (file != -EEXIST) saving.fail(file, "cannot create a file beside it");
      }
      saving.fail(-EEXIST,
                  fmt::format("cannot create a file beside it: {} names are taken", kMaxTemporaries));
    }
    Saving& saving_;
  };

  std::string path_;
  DurableOptions options_;
  Place place_;
  std::optional<Descriptor> folder_;
  std::optional<uint32_t> mode_;
};

}  // namespace

void durable_write(const std::string& path, const DurableOptions& options,
                   const std::function<void(Sink&)>& content) {
  Saving(path, options).run(content);
}

void durable_write(const std::string& path, std::span<const std::byte> bytes, FileSystem& files) {
  durable_write(path, {bytes.size(), &files}, [&](Sink& sink) { sink.write(bytes); });
}

}  // namespace varve::io
