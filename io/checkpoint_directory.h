// CheckpointDirectory: generations of one training in a folder, of which the newest whole one is found again.
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <varve/io/checkpoint.h>
#include <varve/io/file_system.h>

namespace varve {

struct CheckpointDirectoryOptions {
  int keep_last = 3;  // the newest generations, at least one
  int keep_best = 0;  // and those of the lowest loss; one whose loss or weights are NaN, or may be, is never
  io::WriteOptions write{};
  // Told what was skipped and why, what could not be removed, and of saves that are not the newest; by
  // default a line on stderr. Called by the thread of save_async too; the destructor drops what it throws.
  std::function<void(const std::string&)> report{};
  io::FileSystem* files = &io::system_files();
};

class VARVE_API CheckpointDirectory {
 public:
  // Makes the folder if its parent is there. IoError, or Error when the options make no sense.
  explicit CheckpointDirectory(std::string folder, CheckpointDirectoryOptions options = {});
  // Finishes what save_async began; its error is reported.
  ~CheckpointDirectory();
  CheckpointDirectory(const CheckpointDirectory&) = delete;
  CheckpointDirectory& operator=(const CheckpointDirectory&) = delete;

  // Writes FOLDER/checkpoint-STEP.varve durably, then removes the generations that are not to be kept, but
  // not this one. Others may save to the folder at the same time. The newest generation is that of the
  // highest step: who goes back to an earlier one and saves below it is told so, and removes the later ones
  // or saves to another folder.
  void save(const Checkpoint& checkpoint);
  // The same by one other thread, which leaves the pool to training: returns once the values are copied, so
  // that they may change (on a device: once it will copy them before whatever it is asked next). An error of
  // the last one surfaces at the next call, before which it is finished.
  void save_async(const Checkpoint& checkpoint);
  void wait();

  struct Resumed {
    Checkpoint checkpoint;
    std::string path;
  };
  // The newest generation whose every byte is right; what was skipped is reported. Nothing where none was
  // ever saved; an Error where there are some and none is whole: training must not start anew in silence.
  std::optional<Resumed> resume_latest();

 private:
  struct Generation {
    int64_t step = 0;
    std::string name;
  };
  std::vector<Generation> generations() const;  // the newest first
  bool is_gone(const Generation& generation) const;
  std::string path_of(const std::string& name) const { return folder_ + "/" + name; }
  void write(io::Container container, int64_t step);
  void prune(int64_t saved_step);
  std::optional<double> loss_of(const Generation& generation) const;
  void report(const std::string& what) const;

  std::string folder_;
  CheckpointDirectoryOptions options_;
  std::set<std::string> skipped_;  // what resume_latest found not to be whole
  bool told_of_later_ = false;     // generations than what is saved
  std::future<void> running_;
};

}  // namespace varve
