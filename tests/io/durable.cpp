// Durable writing: the old file or the new one, and nothing beside it.
#include <varve/io/durable.h>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/io/temporary_folder.h"

#include <cerrno>
#include <thread>
#include <vector>

using namespace varve;
using io::durable_write;
using test::bytes_of;
using test::contents;

namespace fs = std::filesystem;

namespace {

// No file of this process grows beyond `bytes` while this lives, as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { ::setrlimit(RLIMIT_FSIZE, &old_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit old_{};
};

int code_of_failure(const std::string& path, std::span<const std::byte> bytes,
                    std::string* message = nullptr) {
  try {
    durable_write(path, bytes);
  } catch (const IoError& e) {
    if (message) *message = e.what();
    return e.code();
  }
  return 0;
}

}  // namespace

TEST_CASE("pieces become one file, and replace the old one") {
  const test::TemporaryFolder folder;
  const auto empty = bytes_of("");
  durable_write(folder / "a", {}, [](io::Sink& sink) {
    for (const char* piece : {"one ", "", "two"}) sink.write(bytes_of(piece));
  });
  CHECK(contents(folder / "a") == bytes_of("one two"));
  durable_write(folder / "a", bytes_of("x"));
  CHECK(contents(folder / "a") == bytes_of("x"));
  durable_write(folder / "a", empty);
  CHECK(contents(folder / "a").empty());
  CHECK(folder.entries() == 1);
}

TEST_CASE("a full disk leaves the old file and nothing else, and says how much room is needed") {
  const test::TemporaryFolder folder;
  durable_write(folder / "a", bytes_of("old"));
  const io::Bytes large(100'000, std::byte{1});
  std::string message;
  int code = 0, code_new = 0;
  {
    const FileLimit limit(70'000);
    code = code_of_failure(folder / "a", large, &message);
    code_new = code_of_failure(folder / "new", large);
  }
  CHECK(code == EFBIG);
  CHECK(code_new == EFBIG);
  CHECK(message.find("100000 bytes") != std::string::npos);
  CHECK(contents(folder / "a") == bytes_of("old"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("a missing folder, a folder and a device are refused and stay") {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "sub");
  CHECK(code_of_failure(folder / "no/a", bytes_of("x")) == ENOENT);
  CHECK(code_of_failure(folder / "sub", bytes_of("x")) == EISDIR);
  CHECK(code_of_failure("/dev/null", bytes_of("x")) == EINVAL);
  CHECK(code_of_failure("", bytes_of("x")) != 0);
  CHECK(fs::is_character_file("/dev/null"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("a symbolic link stays, and what it points to is replaced") {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "sub");
  durable_write(folder / "sub/a", bytes_of("old"));
  fs::create_symlink("sub/a", folder / "first");
  fs::create_symlink("first", folder / "second");
  durable_write(folder / "second", bytes_of("new"));
  CHECK(contents(folder / "sub/a") == bytes_of("new"));
  CHECK(fs::is_symlink(folder / "first"));
  CHECK(fs::is_symlink(folder / "second"));
  fs::create_symlink("sub/b", folder / "dangling");
  durable_write(folder / "dangling", bytes_of("b"));
  CHECK(fs::is_symlink(folder / "dangling"));
  CHECK(contents(folder / "sub/b") == bytes_of("b"));
  fs::create_symlink("loop", folder / "loop");
  CHECK(code_of_failure(folder / "loop", bytes_of("x")) == ELOOP);
}

TEST_CASE("the longest name that a folder takes can be saved to") {
  const test::TemporaryFolder folder;
  const std::string path = folder / std::string(255, 'n');
  for (const char* text : {"old", "new"}) {
    durable_write(path, bytes_of(text));
    CHECK(contents(path) == bytes_of(text));
  }
}

TEST_CASE("the old file's mode is kept") {
  const test::TemporaryFolder folder;
  durable_write(folder / "a", bytes_of("old"));
  for (const mode_t mode : {0640, 0755, 0600}) {
    REQUIRE(::chmod((folder / "a").c_str(), mode) == 0);
    durable_write(folder / "a", bytes_of("new"));
    struct stat status {};
    REQUIRE(::stat((folder / "a").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == mode);
  }
}

TEST_CASE("a new file has the mode that the umask leaves") {
  const test::TemporaryFolder folder;
  const mode_t old = ::umask(027);
  durable_write(folder / "a", bytes_of("new"));
  ::umask(old);
  struct stat status {};
  REQUIRE(::stat((folder / "a").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("room that was reserved for more than was written does not lengthen the file") {
  const test::TemporaryFolder folder;
  durable_write(folder / "a", {100'000}, [](io::Sink& sink) { sink.write(bytes_of("short")); });
  CHECK(contents(folder / "a") == bytes_of("short"));
}

TEST_CASE("whoever opened the old file goes on reading it") {
  const test::TemporaryFolder folder;
  durable_write(folder / "a", bytes_of("old"));
  std::ifstream reader(folder / "a");
  durable_write(folder / "a", bytes_of("new"));
  std::string found;
  reader >> found;
  CHECK(found == "old");
}

TEST_CASE("writers at the same time leave one of their files, whole") {
  const test::TemporaryFolder folder;
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w)
    writers.emplace_back([&folder, w] {
      for (int i = 0; i < 10; ++i) durable_write(folder / "a", io::Bytes(5000, static_cast<std::byte>(w)));
    });
  for (std::thread& writer : writers) writer.join();
  const io::Bytes found = contents(folder / "a");
  CHECK(found == io::Bytes(5000, found[0]));
  CHECK(folder.entries() == 1);
}
