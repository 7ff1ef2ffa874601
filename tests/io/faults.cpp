// Every call of a save answering with every error it may have: the old file stays, nothing is left behind,
// and the error says what to do.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include <varve/core/error.h>
#include <varve/core/ops/make.h>
#include <varve/io/container.h>
#include <varve/io/durable.h>

#include "tests/io/crash/forwarding.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::io;
using namespace varve::test;

namespace {

// Answers with `code` to the n-th call, and counts.
class Fault : public Forwarding {
 public:
  Fault(int at, int code) : Forwarding(system_files()), at_(at), code_(code) {}
  Call hit() const { return hit_; }
  int calls() const { return calls_; }

 private:
  int before(Call call) override {
    if (calls_++ != at_) return 0;
    hit_ = call;
    return -code_;
  }
  int at_, code_, calls_ = 0;
  Call hit_ = Call::list;
};

// From the manual pages of Linux.
const std::map<Call, std::vector<int>>& errors() {
  static const std::map<Call, std::vector<int>> all{
      {Call::open_folder, {EACCES, EMFILE, ENFILE, ENOENT, ENOMEM, ENOTDIR}},
      {Call::status, {EACCES, EIO, ENOMEM}},
      {Call::read_link, {EACCES, EIO, ENOMEM}},
      {Call::create, {EACCES, EDQUOT, EMFILE, ENFILE, ENOSPC, EROFS, ENOMEM, EIO}},
      {Call::set_mode, {EIO, EPERM, EROFS}},
      {Call::reserve, {ENOSPC, EDQUOT, EFBIG, EIO, EPERM, EOPNOTSUPP, ENOSYS, EINVAL, EINTR}},
      {Call::write, {ENOSPC, EDQUOT, EFBIG, EIO, EPERM, EINTR}},
      {Call::sync, {EIO, ENOSPC, EDQUOT, EROFS, EINVAL, EINTR}},
      {Call::close, {EIO, ENOSPC, EDQUOT}},
      {Call::rename, {EACCES, EBUSY, EDQUOT, EIO, ENOSPC, EROFS, EPERM}},
  };
  return all;
}

// What a message must advise: by the error, and by 0 once the new file is in place.
const std::map<int, std::string>& remedies() {
  static const std::map<int, std::string> all{{0, "save again once the disk is well"},
                                              {ENOSPC, "no room"},
                                              {EDQUOT, "quota"},
                                              {EFBIG, "ulimit -f"},
                                              {EIO, "another one"},
                                              {EACCES, "make the folder readable and writable"},
                                              {EPERM, "make the folder readable"},
                                              {EROFS, "save elsewhere"},
                                              {EMFILE, "close other files"},
                                              {ENFILE, "close other files"},
                                              {ENOENT, "make the folder first"},
                                              {ENOTDIR, "make the folder first"},
                                              {ENOMEM, "save again"},
                                              {EBUSY, "save again"},
                                              {EINVAL, "save again"},
                                              {ELOOP, "save again"}};
  return all;
}

// After these a save goes on: not supported here, interrupted, or worth another new file.
bool is_survived(Call call, int code, bool folder_is_synced) {
  if (call == Call::reserve) return code == EOPNOTSUPP || code == ENOSYS || code == EINVAL || code == EINTR;
  if (call == Call::write) return code == EINTR;
  if (call == Call::sync && code == EINTR) return true;
  if (call == Call::sync) return folder_is_synced ? code == EINVAL : code == EIO;
  return false;
}

void save_through(FileSystem& files, const std::string& path) {
  const Bytes bytes = test::bytes_of("new, and longer than the old");
  durable_write(path, {bytes.size(), &files}, [&](Sink& sink) {
    sink.write(std::span(bytes).first(10));
    sink.write(std::span(bytes).subspan(10));
  });
}

enum class Start { nothing, old, link };

// What is there before a save to "a".
void prepare(const TemporaryFolder& folder, Start start) {
  if (start != Start::nothing) put(folder / (start == Start::link ? "b" : "a"), test::bytes_of("old"));
  if (start == Start::link) std::filesystem::create_symlink("b", folder / "a");
}

// Each of what a save calls.
std::vector<Call> calls_of_a_save(Start start) {
  const TemporaryFolder folder;
  prepare(folder, start);
  std::vector<Call> calls;
  Fault counting(-1, 0);
  save_through(counting, folder / "a");
  for (int i = 0; i < counting.calls(); ++i) {
    const TemporaryFolder again;
    prepare(again, start);
    Fault fault(i, EINTR);  // any
    try {
      save_through(fault, again / "a");
    } catch (const IoError&) {
    }
    calls.push_back(fault.hit());
  }
  return calls;
}

}  // namespace

TEST_CASE("a save is this sequence of calls") {
  using enum Call;
  const std::vector<Call> fresh{open_folder, status, create, reserve, write, write,
                                sync,        close,  rename, sync,    close};
  CHECK(calls_of_a_save(Start::nothing) == fresh);
  std::vector<Call> over = fresh;
  over.insert(over.begin() + 6, set_mode);  // before the sync that makes it last
  CHECK(calls_of_a_save(Start::old) == over);
}

TEST_CASE("whatever call fails, and however, the file is old or new and nothing is left behind") {
  size_t tried = 0;
  for (const Start start : {Start::nothing, Start::old, Start::link}) {
    const std::vector<Call> calls = calls_of_a_save(start);
    REQUIRE(calls.size() >= 10);
    for (size_t i = 0; i < calls.size(); ++i)
      for (const int code : errors().contains(calls[i]) ? errors().at(calls[i]) : std::vector<int>{}) {
        const TemporaryFolder folder;
        prepare(folder, start);
        const size_t entries = folder.entries();
        CAPTURE(i);
        CAPTURE(std::strerror(code));
        Fault fault(static_cast<int>(i), code);
        const bool last = i + 2 >= calls.size();  // the folder's sync, and its close
        const std::string message = message_of<IoError>([&] { save_through(fault, folder / "a"); });
        ++tried;
        const auto at = calls.begin() + static_cast<ptrdiff_t>(i);
        const bool begun = std::find(calls.begin(), at, Call::create) != at;
        const bool closing_a_folder = calls[i] == Call::close && (last || !begun);
        const bool survived = closing_a_folder || is_survived(calls[i], code, last);
        CHECK((message == "nothing was thrown") == survived);
        if (survived || last) {
          CHECK(contents(folder / "a") == test::bytes_of("new, and longer than the old"));
          if (!survived) CHECK(contains(message, "the new file is in place"));
        } else if (start != Start::nothing) {
          CHECK(contents(folder / "a") == test::bytes_of("old"));
        }
        CHECK(folder.entries() == (survived || last ? std::max<size_t>(entries, 1) : entries));
        if (!survived) CHECK(contains(message, remedies().at(last ? 0 : code)));
        const bool writing = calls[i] >= Call::set_mode && calls[i] <= Call::rename;
        if (!survived && !last && writing) {
          CHECK(contains(message, "28 bytes"));
          CHECK(contains(message, "the old one, if any, is untouched"));
        }
      }
  }
  MESSAGE(tried, " faults");
  CHECK(tried > 150);
}

TEST_CASE("writes may be short or interrupted anywhere") {
  class Short : public Forwarding {
   public:
    Short(size_t piece, int interrupted)
        : Forwarding(system_files()), piece_(piece), interrupted_(interrupted) {}
    int64_t write(int file, std::span<const std::byte> bytes) override {
      return calls_++ == interrupted_ ? -EINTR
                                      : next_.write(file, bytes.first(std::min(piece_, bytes.size())));
    }

   private:
    size_t piece_;
    int interrupted_, calls_ = 0;
  };
  for (size_t piece = 1; piece < 30; ++piece)
    for (int interrupted = 0; interrupted < 30; ++interrupted) {
      const TemporaryFolder folder;
      Short files(piece, interrupted);
      save_through(files, folder / "a");
      REQUIRE(contents(folder / "a") == test::bytes_of("new, and longer than the old"));
    }
}

TEST_CASE("a disk that takes no bytes is an error, not an endless loop") {
  class Idle : public Forwarding {
   public:
    Idle() : Forwarding(system_files()) {}
    int64_t write(int file, std::span<const std::byte> bytes) override {
      return calls_++ < 100 ? 0 : next_.write(file, bytes);  // even a saver that tries on comes to an end
    }

   private:
    int calls_ = 0;
  };
  const TemporaryFolder folder;
  put(folder / "a", test::bytes_of("old"));
  Idle files;
  CHECK(contains(message_of<IoError>([&] { save_through(files, folder / "a"); }), "cannot write"));
  CHECK(contents(folder / "a") == test::bytes_of("old"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("a disk that never syncs is given up after three new files, each written anew") {
  class Broken : public Forwarding {
   public:
    Broken() : Forwarding(system_files()) {}
    int sync(int) override { return -EIO; }
    int create(int folder, const std::string& name, uint32_t mode) override {
      return ++created, next_.create(folder, name, mode);
    }
    int created = 0;
  };
  const TemporaryFolder folder;
  put(folder / "a", test::bytes_of("old"));
  Broken files;
  CHECK(contains(message_of<IoError>([&] { save_through(files, folder / "a"); }), "disk may be failing"));
  CHECK(files.created == 3);
  CHECK(contents(folder / "a") == test::bytes_of("old"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("a temporary file that cannot be removed is named") {
  class Stuck : public Forwarding {
   public:
    Stuck() : Forwarding(system_files()) {}
    int close(int file) override { return next_.close(file), -EIO; }
    int remove(int, const std::string&) override { return -EIO; }
  };
  const TemporaryFolder folder;
  put(folder / "a", test::bytes_of("old"));
  Stuck files;
  CHECK(contains(message_of<IoError>([&] { save_through(files, folder / "a"); }), "-0 is left behind"));
  CHECK(contents(folder / "a") == test::bytes_of("old"));
  CHECK(folder.entries() == 2);
}

TEST_CASE("nobody whom the old file is closed to may open the new one while it is written") {
  class Looking : public Forwarding {
   public:
    explicit Looking(const TemporaryFolder& folder) : Forwarding(system_files()), folder_(folder) {}
    int create(int folder, const std::string& name, uint32_t mode) override {
      const int file = next_.create(folder, name, mode);
      const auto seen = std::filesystem::status(folder_ / name).permissions();
      CHECK((seen & ~std::filesystem::perms::owner_all) == std::filesystem::perms::none);
      return file;
    }

   private:
    const TemporaryFolder& folder_;
  };
  const TemporaryFolder folder;
  put(folder / "a", test::bytes_of("old"));
  std::filesystem::permissions(folder / "a",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  Looking files(folder);
  save_through(files, folder / "a");
}

TEST_CASE("through a link to another folder, that folder is the one that is synced") {
  class Watching : public Forwarding {
   public:
    Watching() : Forwarding(system_files()) {}
    int open_folder(const std::string& path) override {
      const int folder = next_.open_folder(path);
      paths_[folder] = path;
      return folder;
    }
    int sync(int descriptor) override {
      if (paths_.contains(descriptor)) synced.push_back(paths_[descriptor]);
      return next_.sync(descriptor);
    }
    int close(int descriptor) override { return paths_.erase(descriptor), next_.close(descriptor); }
    std::vector<std::string> synced;

   private:
    std::map<int, std::string> paths_;
  };
  const TemporaryFolder folder;
  for (const char* name : {"links", "files"}) std::filesystem::create_directory(folder / name);
  std::filesystem::create_symlink("../files/a", folder / "links/a");
  Watching files;
  save_through(files, folder / "links/a");
  REQUIRE(files.synced.size() == 1);
  CHECK(std::filesystem::equivalent(files.synced[0], folder / "files"));
}

namespace {
class NoRoom : public Forwarding {
 public:
  NoRoom() : Forwarding(system_files()) {}
  int64_t write(int file, std::span<const std::byte> bytes) override {
    return bytes.size() > 5 ? -ENOSPC : next_.write(file, bytes);
  }
};
}  // namespace

TEST_CASE("an error says how many bytes a file needs, or at most needs with a codec") {
  Container c{"state_dict", {}, {}, {}, {}};
  c.tensors.add("weight", zeros({5000}));
  c.tensors.add("bias", ones({3}));
  const TemporaryFolder folder;
  NoRoom files;
  write(folder / "plain", c);
  const auto plain = std::filesystem::file_size(folder / "plain");
  const auto message = [&](Codec codec) {
    return message_of<IoError>([&] { write(folder / "a", c, {codec}, files); });
  };
  CHECK(contains(message(Codec::none), "the new file of " + std::to_string(plain) + " bytes"));
  const std::string coded = message(Codec::zstd), phrase = "the new file of at most ";
  REQUIRE(contains(coded, phrase));
  const auto bound = std::stoull(coded.substr(coded.find(phrase) + phrase.size()));
  write(folder / "coded", c, {Codec::zstd});
  CHECK(bound > std::filesystem::file_size(folder / "coded"));
  CHECK(bound < plain + 100);
}

TEST_CASE("where the size is not known before, an error says how far it came") {
  const TemporaryFolder folder;
  NoRoom files;
  const auto save = [&] {
    durable_write(folder / "a", {0, &files}, [](Sink& sink) {
      sink.write(test::bytes_of("12345"));
      sink.write(test::bytes_of("6789012"));
    });
  };
  CHECK(contains(message_of<IoError>(save), "the new file of 12 bytes"));
  CHECK(folder.entries() == 0);
}
