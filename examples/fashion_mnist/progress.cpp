#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace {

constexpr std::chrono::milliseconds kOnTerminal{100}, kElsewhere{5000};
constexpr size_t kWidestBar = 30, kNarrowestBar = 5, kUsualColumns = 80;

size_t columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualColumns;
}

template <class... Values>
std::string text(const char* format, Values... values) {
  char buffer[128];
  std::snprintf(buffer, sizeof buffer, format, values...);
  return buffer;
}

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
  if (Clock::now() - shown_ >= (terminal_ ? kOnTerminal : kElsewhere)) show(false);
}

void Progress::finish() { show(true); }

std::string Progress::numbers(bool last) const {
  const double seconds = std::chrono::duration<double>(shown_ - start_).count();
  const double images = static_cast<double>(images_), seen = std::max(images, 1.0);
  const double per_batch = batch_ > first_ ? seconds / static_cast<double>(batch_ - first_) : 0;
  return text("  loss %.4f  accuracy %.4f  %.0f images/s  ", loss_ / seen,
              static_cast<double>(correct_) / seen, seconds > 0 ? images / seconds : 0) +
         (last ? text("%.1f s", seconds)
               : text("%.0f s left", per_batch * static_cast<double>(batches_ - batch_)));
}

// On a terminal the bar takes the room that is left, and nothing wraps.
void Progress::show(bool last) {
  shown_ = Clock::now();
  std::string line = text("epoch %2ld/%ld", static_cast<long>(epoch_ + 1), static_cast<long>(epochs_));
  const std::string after = numbers(last);
  if (!terminal_) {
    std::fprintf(stderr, "%s%s\n", line.c_str(), after.c_str());
    return;
  }
  const size_t room = columns() - 1, taken = line.size() + after.size() + 3;
  if (room >= taken + kNarrowestBar) {
    const size_t width = std::min(kWidestBar, room - taken);
    const size_t filled =
        batches_ ? width * static_cast<size_t>(batch_) / static_cast<size_t>(batches_) : width;
    line += " [" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
  }
  line += after;
  std::fprintf(stderr, "\r%s\033[K%s", line.substr(0, room).c_str(), last ? "\n" : "");
}
