// Scenarios of CheckpointDirectory: whatever a crash leaves, resume_latest finds a whole generation no older
// than the last whose save returned.
#include <varve/io/checkpoint_directory.h>

#include <varve/core/ops/make.h>

#include "scenarios.h"

namespace varve::test {
namespace {

Checkpoint at_step(int64_t step) {
  Checkpoint c;
  c.step = step;
  c.loss = static_cast<double>(step % 3);
  c.model.add("w", full({200}, static_cast<double>(step)));
  return c;
}

CheckpointDirectoryOptions quiet(io::FileSystem& files, int last = 2, int best = 0) {
  CheckpointDirectoryOptions options;
  options.keep_last = last;
  options.keep_best = best;
  options.report = [](const std::string&) {};
  options.files = &files;
  return options;
}

// The step that a program finds after a crash, -1 for nothing; or what is wrong.
int64_t resumed(const Image& image, std::string& wrong) {
  SimulatedDisk disk;
  for (const auto& [name, bytes] : image) disk.put(name, bytes);
  try {
    const auto found = CheckpointDirectory("/folder", quiet(disk)).resume_latest();
    if (!found) return -1;
    const Checkpoint& c = found->checkpoint;
    if (c.model[0].tensor[0].item() != static_cast<double>(c.step))
      wrong = "a checkpoint with the values of another";
    return c.step;
  } catch (const Error& e) {
    wrong = e.what();
    return -1;
  }
}

// From now on a crash leaves a generation of at least `returned`.
void demand(Trial& trial, const std::shared_ptr<int64_t>& returned) {
  trial.rule = [returned](const Image& image) -> std::string {
    std::string wrong;
    const int64_t step = resumed(image, wrong);
    if (!wrong.empty() && *returned >= 0) return wrong;
    return step >= *returned ? ""
                             : "resumes at " + std::to_string(step) + " after " + std::to_string(*returned);
  };
}

Scenario saves(const std::string& name, int last, int best,
               const std::function<void(SimulatedDisk&)>& mood = {}) {
  return {name, [=](Trial& trial) {
            const auto returned = std::make_shared<int64_t>(-1);
            demand(trial, returned);
            if (mood) mood(trial.disk());
            CheckpointDirectory directory("/folder", quiet(trial.files(), last, best));
            for (int64_t step = 1; step <= 4; ++step) try {
                directory.save(at_step(step));
                *returned = step;
              } catch (const IoError&) {
              }
          }};
}

Scenario async() {
  return {"checkpoints, by another thread", [](Trial& trial) {
            const auto returned = std::make_shared<int64_t>(-1);
            demand(trial, returned);
            CheckpointDirectory directory("/folder", quiet(trial.files()));
            for (int64_t step = 1; step <= 4; ++step) {
              directory.save_async(at_step(step));
              directory.wait();
              *returned = step;
            }
          }};
}

Scenario two_savers() {
  return {"checkpoints of two savers in turn", [](Trial& trial) {
            const auto returned = std::make_shared<int64_t>(-1);
            demand(trial, returned);
            CheckpointDirectory a("/folder", quiet(trial.files(), 1)), b("/folder", quiet(trial.files(), 1));
            for (int64_t step = 1; step <= 4; ++step) {
              (step % 2 ? a : b).save(at_step(step));
              *returned = step;
            }
          }};
}

// A crash in the middle, and another program that goes on from what it left.
Scenario recovery(int seed) {
  return {"checkpoints after a crash, " + std::to_string(seed), [seed](Trial& trial) {
            Random random(static_cast<uint64_t>(seed));
            SimulatedDisk before;
            Image left;
            int countdown = 3 + 4 * seed;
            before.on_change = [&] {
              if (--countdown != 0) return;
              const auto choices = before.name_choices(65, random);
              left = before.crashed(choices[random() % choices.size()], SimulatedDisk::Data::some, random);
            };
            CheckpointDirectory("/folder", quiet(before)).save(at_step(1));
            CheckpointDirectory("/folder", quiet(before)).save(at_step(2));
            for (const auto& [name, bytes] : left) trial.start(name, bytes);
            std::string wrong;
            const auto returned = std::make_shared<int64_t>(resumed(left, wrong));
            demand(trial, returned);
            CheckpointDirectory directory("/folder", quiet(trial.files(), 1));
            for (int64_t step = 3; step <= 4; ++step) {
              directory.save(at_step(step));
              *returned = step;
            }
          }};
}

}  // namespace

void add_checkpoints(std::vector<Scenario>& out) {
  for (const int last : {1, 2, 3})
    out.push_back(saves("checkpoints, keeping " + std::to_string(last), last, 0));
  out.push_back(saves("checkpoints, keeping the best", 1, 2));
  out.push_back(
      saves("checkpoints, a sync that fails once", 1, 0, [](SimulatedDisk& d) { d.failing_syncs = 1; }));
  out.push_back(saves("checkpoints, syncs that fail", 1, 0, [](SimulatedDisk& d) { d.failing_syncs = 5; }));
  out.push_back(saves("checkpoints, no room for the third", 1, 0, [](SimulatedDisk& d) { d.room = 4500; }));
  out.push_back(saves("checkpoints, a sync of the folder that fails", 1, 0,
                      [](SimulatedDisk& d) { d.failing_folder_syncs = 1; }));
  out.push_back(async());
  out.push_back(two_savers());
  for (int seed = 0; seed < 5; ++seed) out.push_back(recovery(seed));
}

}  // namespace varve::test
