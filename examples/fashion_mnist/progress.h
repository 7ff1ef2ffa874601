// A progress bar on a terminal, a plain line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>

class Progress {
 public:
  Progress(int64_t epoch, int64_t epochs, int64_t first_batch, int64_t batches);
  // After a batch: what it had of loss, correct answers and images.
  void add(double loss, int64_t correct, int64_t images);
  void finish();
  double mean_loss() const { return images_ ? loss_ / static_cast<double>(images_) : 0; }

 private:
  using Clock = std::chrono::steady_clock;
  void show(bool last);

  int64_t epoch_, epochs_, first_, batch_, batches_;
  double loss_ = 0;
  int64_t correct_ = 0, images_ = 0;
  bool terminal_;
  Clock::time_point start_ = Clock::now(), shown_ = start_;
};
