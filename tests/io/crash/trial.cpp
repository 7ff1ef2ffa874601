#include "trial.h"

#include <varve/core/error.h>
#include <varve/io/checksum.h>
#include <varve/io/durable.h>

#include <cstring>

#include "tests/message.h"

namespace varve::test {

constexpr size_t kMostNames = 65;  // every choice of four operations on names, in every order

io::Bytes payload(uint64_t tag, size_t size) {
  Random random(tag);
  io::Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

Trial::Trial(std::string scenario, Findings& findings, uint64_t seed, int samples, const Wrap& wrap)
    : scenario_(std::move(scenario)), findings_(findings), random_(seed), samples_(samples) {
  if (wrap) wrapped_ = wrap(disk_);
  disk_.on_change = [this] { try_crashes(); };
}

void Trial::start(const std::string& name, const io::Bytes& bytes) {
  disk_.put(name, bytes);
  there_from_the_start_.insert(name);
  if (name[0] != '.') expected_[name].settled = {io::checksum(bytes)};
}

bool Trial::save(const std::string& name, const io::Bytes& bytes, size_t piece, io::FileSystem* through) {
  // A link's target is what a crash leaves.
  io::FileStatus status;
  std::string target = name;
  if (disk_.status(0, name, status) == 0 && status.kind == io::FileKind::link)
    disk_.read_link(0, name, target);
  Expected& e = expected_[target];
  if (e.settled.empty()) e.absent = true;
  const std::set<uint64_t> before = e.settled;
  const uint64_t sum = io::checksum(bytes);
  e.saving.insert(sum);
  bool saved = false;
  try {
    io::durable_write("/folder/" + name, {bytes.size(), through ? through : &files()}, [&](io::Sink& sink) {
      for (size_t at = 0; at < bytes.size(); at += piece)
        sink.write(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    });
    saved = true;
  } catch (const IoError& error) {
    if (contains(error.what(), "in place")) e.settled.insert(sum);
  }
  e.saving.erase(sum);
  if (!saved) return false;
  for (const uint64_t old : before) e.settled.erase(old);
  e.settled.insert(sum);
  const Image now = disk_.now();
  const auto found = now.find(target);
  const uint64_t there = found == now.end() ? 0 : io::checksum(found->second);
  if (!e.settled.contains(there) && !e.saving.contains(there))
    violation("the save returned and its file is not there");
  if (e.saving.empty()) e.settled = {there};
  e.absent = false;
  try_crashes();
  return true;
}

void Trial::finish() {
  try_crashes();
  for (const auto& [name, bytes] : disk_.now())
    if (name[0] == '.' && !there_from_the_start_.contains(name)) violation("left behind: " + name);
}

void Trial::try_crashes() {
  using Data = SimulatedDisk::Data;
  for (const SimulatedDisk::Kept& kept : disk_.name_choices(kMostNames, random_)) {
    for (const Data data : {Data::none, Data::all, Data::size}) try_crash(kept, data);
    for (int i = 0; i < samples_; ++i) try_crash(kept, Data::some);
  }
}

void Trial::try_crash(const SimulatedDisk::Kept& kept, SimulatedDisk::Data data) {
  const Image image = disk_.crashed(kept, data, random_);
  ++findings_.crashes;
  io::Bytes all(reinterpret_cast<const std::byte*>(scenario_.data()),
                reinterpret_cast<const std::byte*>(scenario_.data()) + scenario_.size());
  for (const auto& [name, bytes] : image) {
    const auto text = std::as_bytes(std::span(name));
    all.insert(all.end(), text.begin(), text.end());
    all.push_back({});
    const uint64_t size = bytes.size();
    const auto length = std::as_bytes(std::span(&size, 1));
    all.insert(all.end(), length.begin(), length.end());
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  findings_.states.insert(io::checksum(all));
  const std::string what = rule ? rule(image) : wrong(image);
  if (!what.empty()) violation(what);
}

std::string Trial::wrong(const Image& image) const {
  for (const auto& [name, e] : expected_) {
    const auto found = image.find(name);
    if (found == image.end()) {
      if (!e.absent) return name + " is gone";
      continue;
    }
    const uint64_t sum = io::checksum(found->second);
    if (!e.settled.contains(sum) && !e.saving.contains(sum)) return name + " is neither old nor new";
  }
  return "";
}

void Trial::violation(const std::string& what) {
  if (findings_.violations++ == 0) findings_.first = scenario_ + ": " + what;
}

}  // namespace varve::test
