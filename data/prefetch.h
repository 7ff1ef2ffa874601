// Prefetch: batches made one ahead of who takes them, by a thread that leaves the compute pool to others.
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include <varve/core/backend.h>
#include <varve/data/loader.h>

namespace varve::data {

// Which batch; with the data set and the options it says all that is in it.
struct Position {
  uint64_t seed = 0;
  int64_t epoch = 0, batch = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

class BatchMaker {
 public:
  BatchMaker(Tensor inputs, Tensor targets, LoaderOptions options)
      : inputs_(std::move(inputs)), targets_(std::move(targets)), options_(std::move(options)) {}
  Batch make(const Position& position);

 private:
  void order_epoch(const Position& epoch);
  Tensor rows(const Tensor& of, int64_t first, int64_t last) const;
  bool on_host() const { return inputs_.device() == kCpu; }

  Tensor inputs_, targets_;
  Tensor ordered_inputs_, ordered_targets_;  // of the epoch, where the host cannot gather them itself
  LoaderOptions options_;
  std::vector<int64_t> order_;  // of the epoch of order_of_; always empty without shuffle
  Position order_of_;
};

class Prefetch {
 public:
  explicit Prefetch(BatchMaker maker) : maker_(std::move(maker)) {}
  ~Prefetch();
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  // That batch: the one made ahead, or one made here. Throws what making it threw.
  Batch take(const Position& now);
  // Has that batch made meanwhile, in place of any that was not taken.
  void ask(const Position& next);

 private:
  enum class State { idle, asked, making, made };
  void work();

  BatchMaker maker_;  // whose turn it is: the thread's while making, else the taker's
  std::mutex mutex_;
  std::condition_variable asked_, made_;
  State state_ = State::idle;
  bool stop_ = false;
  Position position_;  // that was asked for
  Asker asker_{};      // by whom
  Batch batch_;
  std::exception_ptr error_;
  std::thread thread_;  // from the first ask on
};

}  // namespace varve::data
