#include "mutants.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include "forwarding.h"

namespace varve::test {
namespace {

// Tells folders from files.
class Saver : public Forwarding {
 public:
  explicit Saver(SimulatedDisk& disk) : Forwarding(disk), disk_(disk) {}
  int open_folder(const std::string& path) override {
    const int folder = disk_.open_folder(path);
    folders_.insert(folder);
    return folder;
  }

 protected:
  bool is_folder(int descriptor) const { return folders_.contains(descriptor); }
  SimulatedDisk& disk_;

 private:
  std::set<int> folders_;
};

struct NoFileSync : Saver {
  using Saver::Saver;
  int sync(int descriptor) override { return is_folder(descriptor) ? disk_.sync(descriptor) : 0; }
};

struct NoFolderSync : Saver {
  using Saver::Saver;
  int sync(int descriptor) override { return is_folder(descriptor) ? 0 : disk_.sync(descriptor); }
};

struct UncheckedFolderSync : Saver {
  using Saver::Saver;
  int sync(int descriptor) override {
    const int code = disk_.sync(descriptor);
    return is_folder(descriptor) ? 0 : code;
  }
};

struct SyncTooSoon : Saver {
  using Saver::Saver;
  int64_t write(int file, std::span<const std::byte> bytes) override {
    disk_.sync(file);
    return disk_.write(file, bytes);
  }
  int sync(int descriptor) override { return is_folder(descriptor) ? disk_.sync(descriptor) : 0; }
};

struct OtherFileSynced : Saver {
  using Saver::Saver;
  int sync(int descriptor) override {
    if (is_folder(descriptor)) return disk_.sync(descriptor);
    return descriptor > 0 ? disk_.sync(descriptor - 1) : 0;  // the file made before this one
  }
};

struct NotExclusive : Saver {
  using Saver::Saver;
  int create(int, const std::string& name, uint32_t) override { return disk_.open_in_place(name); }
};

struct LinkReplaced : Saver {
  using Saver::Saver;
  int status(int folder, const std::string& name, io::FileStatus& status) override {
    const int code = disk_.status(folder, name, status);
    status.kind = io::FileKind::regular;
    return code;
  }
};

struct UncheckedClose : Saver {
  using Saver::Saver;
  int close(int descriptor) override { return disk_.close(descriptor), 0; }
};

struct UncheckedSync : Saver {
  using Saver::Saver;
  int sync(int descriptor) override { return disk_.sync(descriptor), 0; }
};

struct SyncAgain : Saver {
  using Saver::Saver;
  int sync(int descriptor) override {
    const int code = disk_.sync(descriptor);
    return code == -EIO ? disk_.sync(descriptor) : code;
  }
};

struct UncheckedWrite : Saver {
  using Saver::Saver;
  int64_t write(int file, std::span<const std::byte> bytes) override {
    disk_.write(file, bytes);
    return static_cast<int64_t>(bytes.size());
  }
};

struct RenameFirst : Saver {
  using Saver::Saver;
  int sync(int descriptor) override {
    if (is_folder(descriptor)) return disk_.sync(descriptor);
    file_ = descriptor;
    return 0;
  }
  int close(int) override { return 0; }
  int rename(int folder, const std::string& from, const std::string& to) override {
    if (const int code = disk_.rename(folder, from, to)) return code;
    if (const int code = disk_.sync(file_)) return code;
    return disk_.close(file_);
  }

 private:
  int file_ = -1;
};

struct RemoveFirst : Saver {
  using Saver::Saver;
  int rename(int folder, const std::string& from, const std::string& to) override {
    disk_.remove(folder, to);
    return disk_.rename(folder, from, to);
  }
};

struct InPlace : Saver {
  using Saver::Saver;
  int create(int, const std::string& name, uint32_t) override {
    const size_t end = name.find(".varve-");  // the temporary's name says whose it is
    return disk_.open_in_place(name.substr(1, end - 1));
  }
  int rename(int, const std::string&, const std::string&) override { return 0; }
  int remove(int, const std::string&) override { return 0; }
};

struct PruneFirst : Saver {
  using Saver::Saver;
  int create(int folder, const std::string& name, uint32_t mode) override {
    std::vector<std::string> names;
    disk_.list(folder, names);
    std::sort(names.begin(), names.end());
    for (const std::string& old : names)
      if (old.starts_with("checkpoint-")) disk_.remove(folder, old);
    return disk_.create(folder, name, mode);
  }
};

struct LeaveBehind : Saver {
  using Saver::Saver;
  int remove(int folder, const std::string& name) override {
    return name[0] == '.' ? 0 : disk_.remove(folder, name);
  }
};

template <class Mistake>
Mutant mutant(const char* name) {
  return {name, [](SimulatedDisk& disk) { return std::make_unique<Mistake>(disk); }};
}

}  // namespace

std::vector<Mutant> mutants() {
  return {mutant<NoFileSync>("no sync of the file"),
          mutant<NoFolderSync>("no sync of the folder"),
          mutant<UncheckedFolderSync>("a sync of the folder that is not checked"),
          mutant<SyncTooSoon>("synced before the last bytes"),
          mutant<OtherFileSynced>("another file synced"),
          mutant<NotExclusive>("a temporary file that another saver has"),
          mutant<LinkReplaced>("the link replaced, not its target"),
          mutant<UncheckedClose>("a close that is not checked"),
          mutant<UncheckedSync>("a sync that is not checked"),
          mutant<SyncAgain>("a sync tried again on the same file"),
          mutant<UncheckedWrite>("a write that is not checked"),
          mutant<RenameFirst>("renamed before it is synced"),
          mutant<RemoveFirst>("the old file removed first"),
          mutant<InPlace>("written in place"),
          mutant<PruneFirst>("old generations removed before the new one is durable"),
          mutant<LeaveBehind>("temporary files left behind")};
}

}  // namespace varve::test
