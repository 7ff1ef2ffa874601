// Loader: a data set in batches, in an order that is a pure function of seed and epoch. Its position is
// state, so that training interrupted in the middle of an epoch goes on with the very next batch.
#pragma once

#include <optional>
#include <vector>

#include <varve/core/named_tensors.h>

namespace varve::data {

// One step's examples: inputs [B, ...] and targets [B, ...].
struct Batch {
  Tensor inputs, targets;
};

struct LoaderOptions {
  int64_t batch_size = 32;
  bool shuffle = false;
  uint64_t seed = 0;
  bool drop_last = false;  // leave out a last batch that is not full
};

// 0 .. count-1 in the order of that epoch (Fisher-Yates, driven by Philox).
VARVE_API std::vector<int64_t> permutation(int64_t count, uint64_t seed, uint64_t epoch);

class VARVE_API Loader {
 public:
  using Options = LoaderOptions;

  // inputs [N, ...] and targets [N, ...] on the CPU, of any dtypes; they are shared, not copied.
  Loader(const Tensor& inputs, const Tensor& targets, Options options = {});

  // The next batch, in fresh tensors; nullopt once at the end of each epoch, after which the next one begins.
  std::optional<Batch> next();

  int64_t epoch() const { return epoch_; }           // epochs completed
  int64_t batch() const { return batch_; }           // batches given in this epoch
  int64_t batches() const;                           // in an epoch
  int64_t count() const { return inputs_.size(0); }  // examples

  // Position and seed, and what must agree for them to mean the same: 0-d tensors.
  NamedTensors state_dict() const;
  // Goes to that position. Error if the state is incomplete, or of another number of examples, batch size,
  // shuffle or drop_last; nothing is changed then.
  void load_state_dict(const NamedTensors& state) { stage_load(state).commit(); }
  StagedLoad stage_load(const NamedTensors& state);

 private:
  Tensor rows(const Tensor& of, int64_t first, int64_t last) const;

  Tensor inputs_, targets_;
  Options options_;
  int64_t epoch_ = 0, batch_ = 0;
  std::vector<int64_t> order_;  // of this epoch; empty until needed, and always without shuffle
};

}  // namespace varve::data
