#include "progress.h"

#include <unistd.h>

#include <cstdio>
#include <string>

namespace {
constexpr int kWidth = 28;
constexpr std::chrono::milliseconds kEvery{100};
}  // namespace

Progress::Progress(int64_t epoch, int64_t epochs, int64_t first_batch, int64_t batches)
    : epoch_(epoch),
      epochs_(epochs),
      first_(first_batch),
      batch_(first_batch),
      batches_(batches),
      terminal_(isatty(STDERR_FILENO)) {}

void Progress::add(double loss, int64_t correct, int64_t images) {
  ++batch_;
  loss_ += loss * static_cast<double>(images);
  correct_ += correct;
  images_ += images;
  if (terminal_ && Clock::now() - shown_ >= kEvery) show(false);
}

void Progress::finish() { show(true); }

void Progress::show(bool last) {
  shown_ = Clock::now();
  const double seconds = std::chrono::duration<double>(shown_ - start_).count();
  const double speed = seconds > 0 ? static_cast<double>(images_) / seconds : 0;
  const double per_batch = batch_ > first_ ? seconds / static_cast<double>(batch_ - first_) : 0;
  const double seen = images_ ? static_cast<double>(images_) : 1;
  const int filled = batches_ ? static_cast<int>(kWidth * batch_ / batches_) : kWidth;
  const std::string bar =
      std::string(static_cast<size_t>(filled), '#') + std::string(static_cast<size_t>(kWidth - filled), '.');
  std::fprintf(stderr, "%sepoch %2ld/%ld", terminal_ ? "\r" : "", static_cast<long>(epoch_ + 1),
               static_cast<long>(epochs_));
  if (terminal_) std::fprintf(stderr, " [%s]", bar.c_str());
  std::fprintf(stderr, "  loss %.4f  accuracy %.4f  %.0f images/s  ", loss_ / seen,
               static_cast<double>(correct_) / seen, speed);
  if (last)
    std::fprintf(stderr, "%.1f s   \n", seconds);
  else
    std::fprintf(stderr, "%.0f s left ", per_batch * static_cast<double>(batches_ - batch_));
  std::fflush(stderr);
}
