// Checkpoint: all that a training needs to go on as if it had never stopped, in one file written durably.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <varve/core/named_tensors.h>
#include <varve/io/container.h>

namespace varve {

struct Checkpoint {
  int64_t epoch = 0, step = 0;
  double loss = 0;
  // The states of model, optimizer, loader (where in the data), random generators, and of what changes the
  // learning rate.
  NamedTensors model{}, optimizer{}, loader{}, random{}, schedule{};
  NamedTensors history{};  // what was measured so far, such as "loss"
  io::Meta user{};         // anything else worth keeping
  // Set by saving: "varve", "instructions" and "threads" of the program that saved. The same bits follow for
  // the same instructions, on any number of threads.
  io::Meta saved_by{};
};

// Replaces the file at `path` by this checkpoint, or leaves it as it was and throws.
VARVE_API void save_checkpoint(const std::string& path, const Checkpoint& checkpoint,
                               const io::WriteOptions& options = {});
// IoError, or FormatError when the file is damaged or no checkpoint.
VARVE_API Checkpoint load_checkpoint(const std::string& path);

// A part of a checkpoint and how to stage it, e.g. {"model", [&] { return stage_load(model, saved.model); }}.
struct PartLoad {
  std::string name;
  std::function<StagedLoad()> stage;
};
// Loads every part, or none: an Error lists what each that does not fit has to say, and each part of `saved`,
// but for its history, that has tensors and no place here. A name is that of a member of Checkpoint.
VARVE_API void load_parts(const Checkpoint& saved, const std::vector<PartLoad>& parts);

namespace detail {
// The checkpoint in a container read from `path`, which messages name.
VARVE_API Checkpoint checkpoint_of(const std::string& path, io::Container file);
// All but whether the model has a NaN, which takes a look at every value and is said by say_nan.
VARVE_API io::Container container_of(const Checkpoint& checkpoint);
VARVE_API void say_nan(io::Container& checkpoint);
// What refuses a state, once its devices have come to it, that was made of an error nobody has heard of.
std::vector<std::function<void()>> errors_so_far(const NamedTensors& tensors);
}  // namespace detail

}  // namespace varve
