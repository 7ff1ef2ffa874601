// A progress bar on a terminal, a plain line every few seconds and at an epoch's end elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

class Progress {
 public:
  Progress(int64_t epoch, int64_t epochs, int64_t first_batch, int64_t batches);
  // After a batch: what it had of loss, correct answers and images.
  void add(double loss, int64_t correct, int64_t images);
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void show(bool last);
  std::string numbers(bool last) const;

  int64_t epoch_, epochs_, first_, batch_, batches_;
  double loss_ = 0;
  int64_t correct_ = 0, images_ = 0;
  bool terminal_;
  Clock::time_point start_ = Clock::now(), shown_ = start_;
};
