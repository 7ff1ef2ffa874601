// Every call of a save answering with every error it may have: the old file stays, nothing is left behind,
// and the error says what to do.
#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <vector>

#include <varve/core/error.h>
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
      {Call::create, {EACCES, EDQUOT, EMFILE, ENFILE, ENOSPC, EROFS, ENOMEM, EIO}},
      {Call::set_mode, {EIO, EPERM, EROFS}},
      {Call::reserve, {ENOSPC, EDQUOT, EFBIG, EIO, EPERM, EOPNOTSUPP, ENOSYS, EINVAL}},
      {Call::write, {ENOSPC, EDQUOT, EFBIG, EIO, EPERM, EINTR}},
      {Call::sync, {EIO, ENOSPC, EDQUOT, EROFS, EINVAL}},
      {Call::close, {EIO, ENOSPC, EDQUOT}},
      {Call::rename, {EACCES, EBUSY, EDQUOT, EIO, ENOSPC, EROFS, EPERM}},
  };
  return all;
}

// After these a save goes on: not supported here, interrupted, or worth another new file.
bool is_survived(Call call, int code, bool folder_is_synced) {
  if (call == Call::reserve) return code == EOPNOTSUPP || code == ENOSYS || code == EINVAL;
  if (call == Call::write) return code == EINTR;
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

// Each of what a save calls, fresh or over an old file.
std::vector<Call> calls_of_a_save(bool fresh) {
  const TemporaryFolder folder;
  if (!fresh) put(folder / "a", test::bytes_of("old"));
  std::vector<Call> calls;
  Fault counting(-1, 0);
  save_through(counting, folder / "a");
  for (int i = 0; i < counting.calls(); ++i) {
    const TemporaryFolder again;
    if (!fresh) put(again / "a", test::bytes_of("old"));
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

TEST_CASE("whatever call fails, and however, the file is old or new and nothing is left behind") {
  size_t tried = 0;
  for (const bool fresh : {false, true}) {
    const std::vector<Call> calls = calls_of_a_save(fresh);
    REQUIRE(calls.size() >= 10);
    for (size_t i = 0; i < calls.size(); ++i)
      for (const int code : errors().contains(calls[i]) ? errors().at(calls[i]) : std::vector<int>{}) {
        const TemporaryFolder folder;
        if (!fresh) put(folder / "a", test::bytes_of("old"));
        CAPTURE(i);
        CAPTURE(std::strerror(code));
        Fault fault(static_cast<int>(i), code);
        const bool last = i + 2 >= calls.size();  // the folder's sync, and its close
        const std::string message = message_of<IoError>([&] { save_through(fault, folder / "a"); });
        ++tried;
        const bool closing_a_folder = last && calls[i] == Call::close;
        const bool survived = closing_a_folder || is_survived(calls[i], code, last);
        CHECK((message == "nothing was thrown") == survived);
        if (survived || last) {
          CHECK(contents(folder / "a") == test::bytes_of("new, and longer than the old"));
          if (!survived) CHECK(contains(message, "the new file is in place"));
        } else if (!fresh) {
          CHECK(contents(folder / "a") == test::bytes_of("old"));
        }
        CHECK(folder.entries() == (survived || last || !fresh ? 1 : 0));
        if (code == ENOSPC && calls[i] == Call::write) {
          CHECK(contains(message, "28 bytes"));
          CHECK(contains(message, "make room"));
        }
      }
  }
  MESSAGE(tried, " faults");
  CHECK(tried > 80);
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

TEST_CASE("a disk that never syncs is given up after three new files, each written anew") {
  class Broken : public Forwarding {
   public:
    Broken() : Forwarding(system_files()) {}
    int sync(int) override { return -EIO; }
    int create(int folder, const std::string& name) override { return ++created, next_.create(folder, name); }
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
