#include "disk.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <numeric>

#include <varve/core/error.h>

namespace varve::test {

void SimulatedDisk::put(const std::string& name, const io::Bytes& bytes) {
  names_[name] = durable_names_[name] = {static_cast<int>(files_.size())};
  files_.push_back({bytes, bytes, {}});
}

void SimulatedDisk::link(const std::string& name, const std::string& target) {
  names_[name] = durable_names_[name] = {-1, target};
}

Image SimulatedDisk::now() const {
  Image image;
  for (const auto& [text, name] : names_)
    if (name.file >= 0) image[text] = files_[static_cast<size_t>(name.file)].now;
  return image;
}

// ---- what a crash leaves ----

void SimulatedDisk::apply(const Write& write, io::Bytes& bytes) {
  bytes.resize(std::max<size_t>(bytes.size(), write.offset + write.bytes.size()));
  std::copy(write.bytes.begin(), write.bytes.end(), bytes.begin() + static_cast<ptrdiff_t>(write.offset));
}

void SimulatedDisk::apply(const NameChange& change, Names& names) {
  const auto from = names.find(change.from);
  if (from != names.end() && from->second.file == change.name.file) names.erase(from);
  if (!change.to.empty()) names[change.to] = change.name;
}

io::Bytes SimulatedDisk::crashed(const File& file, Data data, Random& random) const {
  if (data == Data::all) return file.now;
  io::Bytes bytes = file.durable;
  if (data == Data::none) return bytes;
  if (file.truncated && random() % 2) bytes.clear();
  for (const Write& write : file.pending) {
    const size_t end = write.offset + write.bytes.size();
    // What was never written reads as zeros, or as what lay on the disk before.
    if (data == Data::size || random() % 4)
      bytes.resize(std::max(bytes.size(), end), std::byte(random() % 2 * 0xa5));
    if (data == Data::size || random() % 4 == 0) continue;
    const bool torn = random() % 2;
    for (size_t at = write.offset; at < std::min(end, bytes.size()); at = (at / kSector + 1) * kSector) {
      const size_t stop = std::min({(at / kSector + 1) * kSector, end, bytes.size()});
      if (!torn || random() % 2)
        std::copy(write.bytes.begin() + static_cast<ptrdiff_t>(at - write.offset),
                  write.bytes.begin() + static_cast<ptrdiff_t>(stop - write.offset),
                  bytes.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  return bytes;
}

std::vector<SimulatedDisk::Kept> SimulatedDisk::name_choices(size_t most, Random& random) const {
  const size_t count = pending_names_.size();
  std::vector<Kept> choices{{}};
  // Each choice is one of those before, and one operation more.
  for (size_t c = 0; c < choices.size() && choices.size() <= most; ++c)
    for (size_t i = 0; i < count; ++i)
      if (std::find(choices[c].begin(), choices[c].end(), i) == choices[c].end()) {
        choices.push_back(choices[c]);
        choices.back().push_back(i);
      }
  if (choices.size() <= most) return choices;
  Kept all(count);
  std::iota(all.begin(), all.end(), size_t{0});
  choices = {{}, all};
  while (choices.size() < most) {
    Kept kept;
    std::copy_if(all.begin(), all.end(), std::back_inserter(kept), [&](size_t) { return random() % 2; });
    if (random() % 2) std::shuffle(kept.begin(), kept.end(), random);
    choices.push_back(kept);
  }
  return choices;
}

Image SimulatedDisk::crashed(const Kept& kept, Data data, Random& random) const {
  Names names = durable_names_;
  for (const size_t i : kept) apply(pending_names_[i], names);
  Image image;
  for (const auto& [text, name] : names)
    if (name.file >= 0) image[text] = crashed(files_[static_cast<size_t>(name.file)], data, random);
  return image;
}

// ---- the calls ----

void SimulatedDisk::change(NameChange c) {
  apply(c, names_);
  pending_names_.push_back(std::move(c));
  changed();
}

int SimulatedDisk::open_folder(const std::string&) { return kFolder; }

io::SourcePtr SimulatedDisk::open(const std::string& path) {
  const auto found = names_.find(path.substr(path.rfind('/') + 1));
  if (found == names_.end() || found->second.file < 0)
    throw IoError(path, ENOENT, "read: cannot open the file");
  return io::from_memory(io::Bytes(files_[static_cast<size_t>(found->second.file)].now));
}

int SimulatedDisk::status(int, const std::string& name, io::FileStatus& status) {
  const auto found = names_.find(name);
  if (found == names_.end()) return -ENOENT;
  status = {found->second.file >= 0 ? io::FileKind::regular : io::FileKind::link, 0644};
  return 0;
}

int SimulatedDisk::read_link(int, const std::string& name, std::string& target) {
  const auto found = names_.find(name);
  if (found == names_.end()) return -ENOENT;
  if (found->second.file >= 0) return -EINVAL;
  target = found->second.link;
  return 0;
}

int SimulatedDisk::list(int, std::vector<std::string>& names) {
  for (const auto& entry : names_) names.push_back(entry.first);
  return 0;
}

int SimulatedDisk::create(int, const std::string& name, uint32_t mode) {
  if (names_.contains(name)) return -EEXIST;
  const int file = static_cast<int>(files_.size());
  files_.emplace_back().mode = mode;
  change({{}, name, {file}});
  return file;
}

int SimulatedDisk::open_in_place(const std::string& name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return create(kFolder, name, 0644);
  File& file = files_[static_cast<size_t>(found->second.file)];
  file.now.clear();
  file.truncated = true;
  changed();
  return found->second.file;
}

int SimulatedDisk::set_mode(int file, uint32_t mode) {
  files_.at(static_cast<size_t>(file)).mode = mode;
  return 0;
}

int SimulatedDisk::reserve(int, uint64_t bytes) { return static_cast<int64_t>(bytes) <= room ? 0 : -ENOSPC; }

int64_t SimulatedDisk::write(int file, std::span<const std::byte> bytes) {
  const auto count = static_cast<int64_t>(std::min(bytes.size(), longest_write));
  if (room == 0 && count > 0) return -ENOSPC;
  const auto wrote = bytes.first(static_cast<size_t>(std::min(count, room)));
  room -= static_cast<int64_t>(wrote.size());
  File& f = files_.at(static_cast<size_t>(file));
  f.pending.push_back({f.now.size(), {wrote.begin(), wrote.end()}});
  apply(f.pending.back(), f.now);
  changed();
  return static_cast<int64_t>(wrote.size());
}

int SimulatedDisk::sync(int descriptor) {
  if (descriptor == kFolder) {
    if (failing_folder_syncs > 0) return --failing_folder_syncs, -EIO;
    durable_names_ = names_;
    pending_names_.clear();
    changed();
    return 0;
  }
  File& f = files_.at(static_cast<size_t>(descriptor));
  if (keeps_nothing) return 0;
  const bool fails = failing_syncs > 0;
  if (fails) {
    --failing_syncs;
  } else {
    if (f.truncated) f.durable.clear();
    for (const Write& write : f.pending) apply(write, f.durable);
  }
  f.pending.clear();
  f.truncated = false;
  changed();
  return fails ? -EIO : 0;
}

int SimulatedDisk::close(int descriptor) {
  if (descriptor == kFolder || !keeps_nothing) return 0;
  files_.at(static_cast<size_t>(descriptor)).pending.clear();
  return -EIO;
}

int SimulatedDisk::rename(int, const std::string& from, const std::string& to) {
  const auto found = names_.find(from);
  if (found == names_.end()) return -ENOENT;
  change({from, to, found->second});
  return 0;
}

int SimulatedDisk::remove(int, const std::string& name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return -ENOENT;
  change({name, {}, found->second});
  return 0;
}

}  // namespace varve::test
