// The name of a generation says its step, so that the newest is known without opening any.
#include <varve/io/checkpoint_directory.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>

#include <varve/core/backend.h>
#include <varve/core/cpu/background.h>
#include <varve/core/graph.h>
#include <varve/io/durable.h>
#include <varve/io/reader.h>
#include <varve/io/snapshot.h>

namespace varve {
namespace {

constexpr std::string_view kPrefix = "checkpoint-", kEnding = ".varve";
constexpr int kMostLooks = 100;  // at a folder where others save and prune

std::string name_of_step(int64_t step) { return fmt::format("{}{:012}{}", kPrefix, step, kEnding); }

std::optional<int64_t> step_in(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kEnding) ||
      name.size() <= kPrefix.size() + kEnding.size())
    return {};
  const std::string_view digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kEnding.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size() || name_of_step(step) != name) return {};
  return step;
}

}  // namespace

CheckpointDirectory::CheckpointDirectory(std::string folder, CheckpointDirectoryOptions options)
    : folder_(std::move(folder)), options_(std::move(options)) {
  if (options_.keep_last < 1 || options_.keep_best < 0)
    throw Error(fmt::format("checkpoints: keep_last is {} and keep_best {}; required are at least 1 and 0",
                            options_.keep_last, options_.keep_best));
  io::FileSystem& files = *options_.files;
  const int code = files.make_folder(folder_);
  if (code != 0 && code != -EEXIST) throw IoError(folder_, -code, "checkpoints: cannot make the folder");
  // Its name must last as what is saved in it does; one that is there already may be as young.
  const auto parent = std::filesystem::path(folder_ + "/.").parent_path().parent_path();
  const io::Descriptor above(files, files.open_folder(parent.empty() ? "." : parent.string()));
  if (*above < 0) return;  // not ours to open: then it is not ours to make folders in either
  if (const int synced = files.sync(*above); synced != 0 && synced != -EINVAL && synced != -EOPNOTSUPP)
    report(
        IoError(folder_, -synced, "the folder it is in cannot be synced; a power loss may lose it").what());
}

CheckpointDirectory::~CheckpointDirectory() {
  try {
    wait();
  } catch (const std::exception& e) {
    try {
      report(e.what());
    } catch (...) {  // nothing may leave a destructor
    }
  }
}

void CheckpointDirectory::report(const std::string& what) const {
  if (options_.report)
    options_.report(what);
  else
    std::fprintf(stderr, "checkpoints: %s\n", what.c_str());
}

// ---- saving ----

void CheckpointDirectory::save(const Checkpoint& checkpoint) {
  wait();
  write(detail::container_of(checkpoint), checkpoint.step);
}

void CheckpointDirectory::save_async(const Checkpoint& checkpoint) {
  Trace::forbid_reading("save");
  wait();
  io::Container container = detail::container_of(checkpoint);
  auto errors = detail::errors_so_far(container.tensors);
  container.tensors = io::snapshot(container.tensors);
  running_ = std::async(std::launch::async, [this, container = std::move(container), step = checkpoint.step,
                                             errors = std::move(errors)]() mutable {
    const cpu::Background background;
    for (const auto& refuse : errors) refuse();
    write(std::move(container), step);
  });
}

void CheckpointDirectory::wait() {
  if (running_.valid()) running_.get();
}

void CheckpointDirectory::write(io::Container container, int64_t step) {
  if (step < 0) throw Error(fmt::format("checkpoints: step is {}; required is 0 or more", step));
  detail::say_nan(container);
  io::write(path_of(name_of_step(step)), container, options_.write, *options_.files);
  skipped_.erase(name_of_step(step));
  try {
    prune(step);
  } catch (const std::exception& e) {  // not of the save, which is done
    report(
        fmt::format("step {} is saved, but which generations to remove cannot be seen: {}", step, e.what()));
  }
}

// Only now that the new generation is durable. The one just saved stays, whatever its step. What could not be
// read when it was last looked at takes no other's place, and is not removed either.
void CheckpointDirectory::prune(int64_t saved_step) {
  std::vector<Generation> whole;
  std::vector<std::pair<double, int64_t>> losses;
  const std::vector<Generation> all = generations();
  if (!all.empty() && all[0].step > saved_step && !std::exchange(told_of_later_, true))
    report(
        fmt::format("step {} was saved below {}, which resume_latest takes for the newest; remove what is "
                    "later if it is abandoned, or save to another folder",
                    saved_step, path_of(all[0].name)));
  for (const Generation& g : all) {
    const auto loss = skipped_.contains(g.name) ? std::nullopt : loss_of(g);
    if (!loss) continue;
    whole.push_back(g);
    if (!std::isnan(*loss)) losses.emplace_back(*loss, g.step);
  }
  std::set<int64_t> kept{saved_step};
  for (size_t i = 0; i < whole.size() && i < static_cast<size_t>(options_.keep_last); ++i)
    kept.insert(whole[i].step);
  std::sort(losses.begin(), losses.end());
  losses.resize(std::min(losses.size(), static_cast<size_t>(options_.keep_best)));
  for (const auto& [loss, step] : losses) kept.insert(step);
  io::FileSystem& files = *options_.files;
  const io::Descriptor folder(files, files.open_folder(folder_));
  for (const Generation& g : whole) {
    if (kept.contains(g.step)) continue;
    const int code = *folder >= 0 ? files.remove(*folder, g.name) : *folder;
    if (code != 0 && code != -ENOENT)  // another saver was faster
      report(IoError(path_of(g.name), -code, "cannot remove an old generation").what());
  }
}

// Nothing where it cannot be read, NaN where it cannot be the best: weights that are NaN are not, whatever
// their loss.
std::optional<double> CheckpointDirectory::loss_of(const Generation& generation) const {
  try {
    const io::Reader file(options_.files->open(path_of(generation.name)));
    if (file.kind() != "checkpoint") return {};
    const io::Meta* nan = file.meta().find("nan");  // another's file may not say
    return !nan || nan->as_bool() ? std::nan("") : file.meta().at("loss").as_double();
  } catch (const Error&) {
    return {};
  }
}

// ---- finding again ----

std::vector<CheckpointDirectory::Generation> CheckpointDirectory::generations() const {
  io::FileSystem& files = *options_.files;
  const io::Descriptor folder(files, files.open_folder(folder_));
  std::vector<std::string> names;
  const int code = *folder >= 0 ? files.list(*folder, names) : *folder;
  if (code != 0) throw IoError(folder_, -code, "checkpoints: cannot list the folder");
  std::vector<Generation> all;
  for (const std::string& name : names)
    if (const auto step = step_in(name)) all.push_back({*step, name});
  std::sort(all.begin(), all.end(), [](const Generation& a, const Generation& b) { return a.step > b.step; });
  return all;
}

bool CheckpointDirectory::is_gone(const Generation& generation) const {
  io::FileSystem& files = *options_.files;
  const io::Descriptor folder(files, files.open_folder(folder_));
  io::FileStatus status;
  return *folder >= 0 && files.status(*folder, generation.name, status) == -ENOENT;
}

std::optional<CheckpointDirectory::Resumed> CheckpointDirectory::resume_latest() {
  wait();
  for (int look = 0; look < kMostLooks; ++look) {
    const std::vector<Generation> all = generations();
    if (all.empty() && look == 0) return {};
    std::string skipped;
    bool pruned = false;
    for (size_t i = 0; i < all.size() && !pruned; ++i) {
      const std::string path = path_of(all[i].name);
      try {
        return Resumed{detail::checkpoint_of(path, io::Reader(options_.files->open(path)).read()), path};
      } catch (const MemoryError&) {  // says nothing of the file
        throw;
      } catch (const Error& e) {
        pruned = is_gone(all[i]);  // by another saver: then a newer one is there
        if (pruned) continue;
        skipped_.insert(all[i].name);
        report(fmt::format("skipped a generation that is not whole: {}", e.what()));
        skipped += fmt::format("\n  {}", e.what());
      }
    }
    if (!pruned)
      throw Error(fmt::format(
          "checkpoints: none of the {} generations in {} is whole; move them away to start anew{}",
          all.size(), folder_, skipped));
  }
  throw Error(
      fmt::format("checkpoints: the generations in {} are removed faster than they are read; stop "
                  "those who save there, and try again",
                  folder_));
}

}  // namespace varve
