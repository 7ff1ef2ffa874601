// Turns: lets several savers run at once, each call of each at a moment drawn from a seed. Only one runs at a
// time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "forwarding.h"
#include "trial.h"

namespace varve::test {

class Turns {
 public:
  Turns(Trial& trial, uint64_t seed) : trial_(trial), random_(seed) {}

  using Saver = std::function<void(io::FileSystem&)>;
  void run(const std::vector<Saver>& savers) {
    for (size_t i = 0; i < savers.size(); ++i) left_.push_back(i);
    draw();
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < savers.size(); ++i)
      threads.emplace_back([this, i, &savers] {
        wait(i);
        Files files(*this, i);
        savers[i](files);
        std::erase(left_, i);
        draw();
      });
  }

 private:
  class Files : public Forwarding {
   public:
    Files(Turns& turns, size_t self) : Forwarding(turns.trial_.files()), turns_(turns), self_(self) {}

   private:
    int before(Call) override {
      turns_.draw();
      turns_.wait(self_);
      return 0;
    }
    Turns& turns_;
    size_t self_;
  };

  void draw() {
    const std::lock_guard lock(mutex_);
    if (left_.empty()) return;
    turn_ = left_[random_() % left_.size()];
    changed_.notify_all();
  }
  void wait(size_t self) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return turn_ == self; });
  }

  Trial& trial_;
  Random random_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<size_t> left_;  // savers that are not done
  size_t turn_ = 0;
};

}  // namespace varve::test
