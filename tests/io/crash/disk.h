// SimulatedDisk: a folder on a disk that keeps only what was synced, and may keep any part of the rest; after
// ALICE (Pillai et al., OSDI 2014). Sizes may last before data, data by single sectors, names in any order; a
// rename is atomic; to sync a file does not keep its name.
#pragma once

#include <cerrno>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <varve/io/file_system.h>
#include <varve/io/meta.h>

namespace varve::test {

using Random = std::mt19937_64;
using Image = std::map<std::string, io::Bytes>;  // a folder: names, and what is read from them

class SimulatedDisk : public io::FileSystem {
 public:
  static constexpr size_t kSector = 512;

  // Called after each operation that changed something.
  std::function<void()> on_change;
  int failing_syncs = 0;  // of files, from now on: what was written is lost, and called clean
  int failing_folder_syncs = 0;
  bool keeps_nothing = false;  // a sync of a file says it was kept, and only close says it was not
  int64_t room = INT64_MAX;    // bytes
  size_t longest_write = SIZE_MAX;

  // A file or link that is there, durably.
  void put(const std::string& name, const io::Bytes& bytes);
  void link(const std::string& name, const std::string& target);

  // What is read while nothing crashes.
  Image now() const;
  // What a crash may do to names: of the operations on them since the last sync it keeps some, in any order.
  using Kept = std::vector<size_t>;
  // All there are, or `most` drawn at random where there are more.
  std::vector<Kept> name_choices(size_t most, Random& random) const;
  // What a crash may leave: those names, and of the data nothing, all, only its size, or some.
  enum class Data { none, all, size, some };
  Image crashed(const Kept& kept, Data data, Random& random) const;
  // The same names for everyone: a file opened in place of a new one, emptied.
  int open_in_place(const std::string& name);

  int open_folder(const std::string& path) override;
  int make_folder(const std::string&) override { return -EEXIST; }
  io::SourcePtr open(const std::string& path) override;
  int status(int folder, const std::string& name, io::FileStatus& status) override;
  int read_link(int folder, const std::string& name, std::string& target) override;
  int list(int folder, std::vector<std::string>& names) override;
  int create(int folder, const std::string& name, uint32_t mode) override;
  int set_mode(int file, uint32_t mode) override;
  int reserve(int file, uint64_t bytes) override;
  int64_t write(int file, std::span<const std::byte> bytes) override;
  int sync(int descriptor) override;
  int close(int descriptor) override;
  int rename(int folder, const std::string& from, const std::string& to) override;
  int remove(int folder, const std::string& name) override;

 private:
  static constexpr int kFolder = 1000000;  // the descriptor of the folder; others are numbers of files
  struct Write {
    uint64_t offset = 0;
    io::Bytes bytes;
  };
  struct File {
    io::Bytes durable, now;
    std::vector<Write> pending;
    bool truncated = false;  // since the last sync
    uint32_t mode = 0644;
  };
  struct Name {
    int file = -1;
    std::string link{};
  };
  using Names = std::map<std::string, Name>;
  struct NameChange {
    std::string from{}, to{};  // either may be empty: something new, something removed
    Name name;
  };

  static void apply(const Write& write, io::Bytes& bytes);
  static void apply(const NameChange& change, Names& names);
  io::Bytes crashed(const File& file, Data data, Random& random) const;
  void change(NameChange c);
  void changed() const {
    if (on_change) on_change();
  }

  std::vector<File> files_;
  Names names_, durable_names_;
  std::vector<NameChange> pending_names_;
};

}  // namespace varve::test
