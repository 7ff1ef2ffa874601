// Trial: one scenario on a simulated disk. After every change of the disk each kind of crash is tried: what
// it leaves must be what the scenario then allows.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>

#include "disk.h"

namespace varve::test {

// What was seen in all trials.
struct Findings {
  uint64_t crashes = 0;
  std::unordered_set<uint64_t> states;  // distinct ones
  uint64_t violations = 0;
  std::string first;  // what was wrong at the first of them
};

// Bytes that differ from those of every other tag in each sector.
io::Bytes payload(uint64_t tag, size_t size);

class Trial {
 public:
  using Wrap = std::function<std::unique_ptr<io::FileSystem>(SimulatedDisk&)>;

  // `samples` crashes of the data for each choice of names; `wrap` stands between program and disk.
  Trial(std::string scenario, Findings& findings, uint64_t seed, int samples, const Wrap& wrap = {});

  SimulatedDisk& disk() { return disk_; }
  io::FileSystem& files() { return wrapped_ ? *wrapped_ : disk_; }

  // A file that is there from the start.
  void start(const std::string& name, const io::Bytes& bytes);
  // Saves, in pieces of `piece` bytes; whether it said that it did. `through` is the files, if no others.
  bool save(const std::string& name, const io::Bytes& bytes, size_t piece = 300,
            io::FileSystem* through = nullptr);
  // From now on `name` may be absent after a crash, or not.
  void may_be_absent(const std::string& name) { expected_[name].absent = true; }
  // Another rule for what a crash may leave, in place of that: what is wrong, or nothing.
  std::function<std::string(const Image&)> rule;
  // At the end: nothing lies about, and nothing that was returned is missing.
  void finish();

 private:
  struct Expected {
    bool absent = false;
    std::set<uint64_t> settled, saving;  // checksums of contents
  };
  void try_crashes();
  void try_crash(const SimulatedDisk::Kept& kept, SimulatedDisk::Data data);
  std::string wrong(const Image& image) const;
  void violation(const std::string& what);

  std::string scenario_;
  Findings& findings_;
  Random random_;
  int samples_;
  SimulatedDisk disk_;
  std::unique_ptr<io::FileSystem> wrapped_;
  std::map<std::string, Expected> expected_;
  std::set<std::string> there_from_the_start_;
};

}  // namespace varve::test
