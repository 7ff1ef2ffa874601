// Loader: a data set in batches, in an order that is a pure function of seed and epoch. Its position is
// state, so that training interrupted in the middle of an epoch goes on with the very next batch. The next
// batch is made while the step runs.
#pragma once

#include <functional>
#include <memory>
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
  // Make the next batch meanwhile, on a thread of the loader's own: the same batches. Only for data on the
  // CPU; a GPU does what it is asked for beside its caller anyway.
  bool prefetch = true;
  // What becomes of a batch's inputs, such as bytes made numbers; null: they stay as they are. Called by
  // either thread, one batch at a time: a function of its argument alone, and not of a generator.
  std::function<Tensor(const Tensor&)> transform{};
};

// 0 .. count-1 in the order of that epoch (Fisher-Yates, driven by Philox).
VARVE_API std::vector<int64_t> permutation(int64_t count, uint64_t seed, uint64_t epoch);

class Prefetch;

// Not for a child of fork(), which has no thread of its parent's: let it make a loader of its own.
class VARVE_API Loader {
 public:
  using Options = LoaderOptions;

  // inputs [N, ...] and targets [N, ...] on one device, of any dtypes; they are shared, not copied, and read
  // at any time until the loader ends. Batches lie there too; off the CPU a shuffled epoch is a copy of all.
  Loader(const Tensor& inputs, const Tensor& targets, Options options = {});
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  // The next batch, in fresh tensors; nullopt once at the end of each epoch, after which the next one begins.
  // Throws what the transform threw, and the same batch is the next again.
  std::optional<Batch> next();

  int64_t epoch() const { return epoch_; }  // epochs completed
  int64_t batch() const { return batch_; }  // batches given in this epoch
  int64_t batches() const;                  // in an epoch
  int64_t count() const { return count_; }  // examples

  // Position (of what was given, not of what is made ahead) and seed, and what must agree for them to mean
  // the same: 0-d tensors.
  NamedTensors state_dict() const;
  // Goes to that position. Error if the state is incomplete, or of another number of examples, batch size,
  // shuffle or drop_last; nothing is changed then.
  void load_state_dict(const NamedTensors& state) { stage_load(state).commit(); }
  StagedLoad stage_load(const NamedTensors& state);

 private:
  Options options_;
  int64_t count_;
  int64_t epoch_ = 0, batch_ = 0;
  std::unique_ptr<Prefetch> ahead_;
};

}  // namespace varve::data
