#include "tests/cuda/simulated/crew.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace varve::simulated {
namespace {

class Crew {
 public:
  void run(unsigned count, const std::function<void(unsigned)>& job) {
    std::unique_lock lock(mutex_);
    while (threads_.size() + 1 < count) {
      const auto rank = static_cast<unsigned>(threads_.size() + 1);
      threads_.emplace_back(
          [this, rank, seen = round_](const std::stop_token& stop) { serve(stop, rank, seen); });
    }
    job_ = &job, count_ = count, busy_ = count - 1, ++round_;
    lock.unlock();
    changed_.notify_all();
    job(0);
    lock.lock();
    changed_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void serve(const std::stop_token& stop, unsigned rank, unsigned seen) {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (!changed_.wait(lock, stop, [&] { return round_ != seen; })) return;
      seen = round_;
      if (rank >= count_) continue;
      const auto& job = *job_;
      lock.unlock();
      job(rank);
      lock.lock();
      if (--busy_ == 0) changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  const std::function<void(unsigned)>* job_ = nullptr;
  unsigned count_ = 0, busy_ = 0, round_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace

void in_ranks(unsigned count, const std::function<void(unsigned rank)>& job) {
  static Crew crew;
  if (count == 1)
    job(0);
  else
    crew.run(count, job);
}

}  // namespace varve::simulated
