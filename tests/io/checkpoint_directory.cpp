// Generations of checkpoints: which are kept, which is found again, and that nothing is lost or passed over
// in silence.
#include <varve/io/checkpoint_directory.h>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <thread>
#include <utility>

#include <varve/core/ops/make.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>

#include "tests/io/crash/forwarding.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

using namespace varve;
using test::TemporaryFolder;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Checkpoint at_step(int64_t step, double loss = 0) {
  Checkpoint c;
  c.step = step;
  c.loss = loss;
  c.model.add("w", full({100}, static_cast<double>(step)));
  return c;
}

std::vector<int64_t> steps_in(const std::string& folder) {
  std::vector<int64_t> steps;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    steps.push_back(std::stoll(entry.path().filename().string().substr(11)));
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string path_of(const std::string& folder, int64_t step) {
  const std::string digits = std::to_string(step);
  return folder + "/checkpoint-" + std::string(12 - digits.size(), '0') + digits + ".varve";
}

void damage(const std::string& path) {
  io::Bytes bytes = test::contents(path);
  bytes[bytes.size() / 2] ^= std::byte{1};
  test::put(path, bytes);
}

// What a directory reports, and the options that make it.
struct Reports {
  std::vector<std::string> all{};
  CheckpointDirectoryOptions options(int last = 3, int best = 0) {
    CheckpointDirectoryOptions o;
    o.keep_last = last;
    o.keep_best = best;
    o.report = [this](const std::string& what) { all.push_back(what); };
    return o;
  }
};

}  // namespace

TEST_CASE("the last generations are kept and the newest is found") {
  const TemporaryFolder folder;
  Reports reports;
  CheckpointDirectory directory(folder / "c", reports.options(2));
  CHECK(!directory.resume_latest());
  for (const int64_t step : {5, 10, 15, 100, 1000}) directory.save(at_step(step));
  CHECK(steps_in(folder / "c") == std::vector<int64_t>{100, 1000});
  const auto found = directory.resume_latest();
  REQUIRE(found);
  CHECK(found->checkpoint.step == 1000);
  CHECK(found->path == path_of(folder / "c", 1000));
  CHECK(found->checkpoint.model[0].tensor[7].item() == 1000);
  CHECK(reports.all.empty());
}

TEST_CASE("the best are kept too, and a loss that is no number is never among them") {
  const TemporaryFolder folder;
  Reports reports;
  CheckpointDirectory directory(folder / "c", reports.options(1, 2));
  const double losses[] = {kNaN, 0.5, 0.1, kNaN, 0.9, 0.3, -kNaN, 2};
  for (int64_t i = 0; i < 8; ++i) directory.save(at_step(i, losses[i]));
  CHECK(steps_in(folder / "c") == std::vector<int64_t>{2, 5, 7});
}

TEST_CASE("what is damaged is skipped and said, down to the oldest; if nothing is whole that is an error") {
  const TemporaryFolder folder;
  Reports reports;
  CheckpointDirectory directory(folder / "c", reports.options(3));
  for (const int64_t step : {1, 2, 3}) directory.save(at_step(step));
  damage(path_of(folder / "c", 3));
  CHECK(directory.resume_latest()->checkpoint.step == 2);
  REQUIRE(reports.all.size() == 1);
  CHECK(contains(reports.all[0], path_of(folder / "c", 3)));
  test::put(path_of(folder / "c", 2), {});
  CHECK(directory.resume_latest()->checkpoint.step == 1);
  damage(path_of(folder / "c", 1));
  const std::string message = message_of([&] { directory.resume_latest(); });
  CHECK(contains(message, "none of the 3 generations"));
  for (const int64_t step : {1, 2, 3}) CHECK(contains(message, path_of(folder / "c", step)));
}

TEST_CASE("a generation just saved stays, though a damaged one of a later step is there") {
  const TemporaryFolder folder;
  Reports reports;
  CheckpointDirectory directory(folder / "c", reports.options(1));
  directory.save(at_step(500));
  damage(path_of(folder / "c", 500));
  directory.save(at_step(450));
  CHECK(directory.resume_latest()->checkpoint.step == 450);
}

TEST_CASE("other files in the folder are left alone") {
  const TemporaryFolder folder;
  Reports reports;
  CheckpointDirectory directory(folder / "c", reports.options(1));
  const std::string others[] = {"checkpoint-1.varve", "checkpoint-00000000000x.varve",
                                "checkpoint-000000000001.varve.bak",
                                ".checkpoint-000000000001.varve.varve-1-1", "notes"};
  for (const std::string& name : others) test::put(folder / ("c/" + name), test::bytes_of("x"));
  for (const int64_t step : {1, 2, 3}) directory.save(at_step(step));
  for (const std::string& name : others) CHECK(test::contents(folder / ("c/" + name)) == test::bytes_of("x"));
  CHECK(directory.resume_latest()->checkpoint.step == 3);
}

TEST_CASE("a save that fails leaves every generation") {
  class Full : public test::Forwarding {
   public:
    Full() : Forwarding(io::system_files()) {}
    bool full = false;

   private:
    int before(test::Call call) override { return full && call == test::Call::write ? -ENOSPC : 0; }
  };
  const TemporaryFolder folder;
  Full files;
  Reports reports;
  CheckpointDirectoryOptions options = reports.options(1);
  options.files = &files;
  CheckpointDirectory directory(folder / "c", options);
  directory.save(at_step(1));
  files.full = true;
  CHECK_THROWS_AS(directory.save(at_step(2)), IoError);
  CHECK(steps_in(folder / "c") == std::vector<int64_t>{1});
  directory.save_async(at_step(3));
  CHECK_THROWS_AS(directory.wait(), IoError);
  CHECK_NOTHROW(directory.wait());  // once is enough
  directory.save_async(at_step(4));
  CHECK_THROWS_AS(directory.save_async(at_step(5)), IoError);  // of the one before; this one was not begun
  files.full = false;
  directory.save_async(at_step(6));
  directory.wait();
  CHECK(steps_in(folder / "c") == std::vector<int64_t>{6});
  files.full = true;
  {
    CheckpointDirectory other(folder / "c", options);
    other.save_async(at_step(7));
  }  // a destructor cannot throw
  REQUIRE(reports.all.size() == 1);
  CHECK(contains(reports.all[0], "no room"));
}

TEST_CASE("values that change after save_async returned do not leak into the file") {
  const TemporaryFolder folder;
  CheckpointDirectory directory(folder / "c");
  for (int64_t step = 1; step <= 20; ++step) {
    Checkpoint c = at_step(step);
    const Tensor base = full({300, 300}, static_cast<double>(step));
    c.model.add("tied", base);
    c.model.add("tied too", base);
    c.optimizer.add("column", select(base, 1, 0));
    directory.save_async(c);
    base.fill(-1);
    c.model[0].tensor.fill(-1);
    const auto found = directory.resume_latest();  // waits
    REQUIRE(found->checkpoint.step == step);
    const NamedTensors& model = found->checkpoint.model;
    for (const NamedTensor& t : model) CHECK(min(t.tensor).item() == step);
    CHECK(model[1].tensor.value().storage == model[2].tensor.value().storage);
    CHECK(found->checkpoint.optimizer[0].tensor[299].item() == step);
  }
}

TEST_CASE("savers of one folder do each other no harm") {
  const TemporaryFolder folder;
  std::vector<std::thread> savers;
  for (int64_t s = 0; s < 4; ++s)
    savers.emplace_back([&folder, s] {
      CheckpointDirectory directory(folder / "c", {.keep_last = 2});
      for (int64_t step = 1; step <= 10; ++step) directory.save(at_step(4 * step + s));
    });
  for (std::thread& saver : savers) saver.join();
  CheckpointDirectory directory(folder / "c");
  CHECK(directory.resume_latest()->checkpoint.step == 43);
}

TEST_CASE("a generation that another saver prunes while it is looked for is no loss") {
  // Before the first open another saver saves a newer one, which prunes all others.
  class Pruning : public test::Forwarding {
   public:
    explicit Pruning(std::function<void()> other)
        : Forwarding(io::system_files()), other_(std::move(other)) {}
    io::SourcePtr open(const std::string& path) override {
      if (other_) std::exchange(other_, {})();
      return next_.open(path);
    }

   private:
    std::function<void()> other_;
  };
  const TemporaryFolder folder;
  CheckpointDirectory other(folder / "c", {.keep_last = 1});
  other.save(at_step(1));
  Pruning files([&] { other.save(at_step(2)); });
  Reports reports;
  CheckpointDirectoryOptions options = reports.options();
  options.files = &files;
  const auto found = CheckpointDirectory(folder / "c", options).resume_latest();
  REQUIRE(found);
  CHECK(found->checkpoint.step == 2);
  CHECK(reports.all.empty());

  // One that is there and cannot be opened is another matter.
  std::filesystem::create_symlink("nowhere", path_of(folder / "c", 3));
  CHECK(CheckpointDirectory(folder / "c", reports.options()).resume_latest()->checkpoint.step == 2);
  CHECK(reports.all.size() == 1);
}

TEST_CASE("the folder's name is synced in its parent, whether it was there or not") {
  class Watching : public test::Forwarding {
   public:
    Watching() : Forwarding(io::system_files()) {}
    int open_folder(const std::string& path) override {
      const int folder = Forwarding::open_folder(path);
      paths_[folder] = std::filesystem::canonical(path);
      return folder;
    }
    int sync(int descriptor) override {
      synced.push_back(paths_[descriptor]);
      return Forwarding::sync(descriptor);
    }
    std::vector<std::string> synced;

   private:
    std::map<int, std::string> paths_;
  };
  const TemporaryFolder folder;
  for (const char* name : {"/c", "/c", "/d/"}) {
    Watching files;
    CheckpointDirectoryOptions options;
    options.files = &files;
    CheckpointDirectory(std::string(folder / "") + name, options);
    CHECK(files.synced == std::vector<std::string>{std::filesystem::canonical(folder / "")});
  }
}

TEST_CASE("options and folders that make no sense are refused") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(CheckpointDirectory(folder / "c", {.keep_last = 0}), Error);
  CHECK_THROWS_AS(CheckpointDirectory(folder / "c", {.keep_best = -1}), Error);
  CHECK_THROWS_AS(CheckpointDirectory(folder / "none/c"), IoError);
  CheckpointDirectory directory(folder / "c");
  CHECK_THROWS_AS(directory.save(at_step(-1)), Error);
}

TEST_CASE("damaged generations take no whole one's place") {
  const TemporaryFolder folder;
  Reports reports;
  {
    CheckpointDirectory all(folder / "c", reports.options(9));
    for (const int64_t step : {50, 90, 100}) all.save(at_step(step));
  }
  for (const int64_t step : {90, 100}) damage(path_of(folder / "c", step));
  CheckpointDirectory two(folder / "c", reports.options(2));
  CHECK(two.resume_latest()->checkpoint.step == 50);
  for (const int64_t step : {60, 70}) two.save(at_step(step));
  CHECK(steps_in(folder / "c") == std::vector<int64_t>{60, 70, 90, 100});
}

TEST_CASE("who goes back and saves below the newest generation is told so") {
  const TemporaryFolder folder;
  Reports reports;
  CheckpointDirectory saver(folder / "c", reports.options(1));
  saver.save(at_step(100));
  CHECK(reports.all.empty());
  saver.save(at_step(50));
  REQUIRE(reports.all.size() == 1);
  CHECK(contains(reports.all[0], "step 50 was saved below"));
  CHECK(steps_in(folder / "c") == std::vector<int64_t>{50, 100});
}

TEST_CASE("a report that throws ends no process") {
  const TemporaryFolder folder;
  CheckpointDirectoryOptions options;
  options.report = [](const std::string&) { throw Error("enough"); };
  CheckpointDirectory saver(folder / "c", options);
  std::filesystem::remove_all(folder / "c");
  saver.save_async(at_step(1));
}

TEST_CASE("weights that are NaN are never the best, whoever saved them, nor where a file does not say") {
  for (const char* saver : {"directory", "save_checkpoint", "another"}) {
    CAPTURE(saver);
    const TemporaryFolder folder;
    Reports reports;
    CheckpointDirectory best(folder / "c", reports.options(1, 1));
    best.save(at_step(1, 0.5));
    Checkpoint broken = at_step(2, 0.1);
    broken.model[0].tensor.mutable_data<float>()[7] = static_cast<float>(kNaN);
    if (saver == std::string("directory"))
      best.save(broken);
    else if (saver == std::string("save_checkpoint"))
      save_checkpoint(path_of(folder / "c", 2), broken);
    else
      io::write(path_of(folder / "c", 2), detail::container_of(broken));
    best.save(at_step(3, 0.9));
    CHECK(steps_in(folder / "c") == std::vector<int64_t>{1, 3});
  }
}
