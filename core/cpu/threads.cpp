#include <varve/core/cpu/threads.h>

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include <varve/core/cpu/cgroup.h>
#include <varve/core/cpu/flush.h>
#include <varve/core/error.h>

namespace varve {
namespace {

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

thread_local bool inside_task = false;

// One job at a time. The ticket holds the job's number and how many of its tasks are unclaimed; claiming one
// is a single compare-and-swap, so a worker that wakes late cannot touch a job that has ended.
class Pool {
 public:
  // Of `count` threads, the caller's among them, or of as many as the system lets start.
  explicit Pool(int count) : spins_(count <= available_processors()) {
    if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) CPU_ZERO(&allowed_);
    try {
      while (size() < count) workers_.emplace_back([this] { work(); });
    } catch (const std::exception&) {  // no more threads, or no memory for one
    }
  }

  ~Pool() {
    stop_ = true;
    wake();
    for (std::thread& t : workers_) t.join();
  }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void run(int64_t count, const cpu::TaskRef& task) {
    std::unique_lock lock(busy_, std::defer_lock);
    if (workers_.empty() || count > kMaxTasks || !lock.try_lock()) {
      for (int64_t i = 0; i < count; ++i) task(i);
      return;
    }
    task_ = &task;
    flush_ = cpu::Flush::is_on();
    error_ = nullptr;
    failed_ = kMaxTasks;
    done_.store(0, std::memory_order_relaxed);
    const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
    ticket_.store(job << 32 | static_cast<uint64_t>(count), std::memory_order_release);
    keep_off_callers_processor();
    wake();
    inside_task = true;
    while (claim_one()) {
    }
    inside_task = false;
    for (int64_t spins = 0; done_.load(std::memory_order_acquire) < count; ++spins) {
      relax();
      if (!spins_ || spins > 1000) std::this_thread::yield();
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  static constexpr int64_t kMaxTasks = 0xffffffff;
  // Longer than the tasks of a small step: who sleeps through one is woken too late for the next.
  static constexpr auto kSpin = std::chrono::microseconds(500);

  // Linux may wake a worker on the caller's own processor, where it waits its turn for as long as hundreds of
  // milliseconds beside one that is idle: so workers that sleep are kept off it.
  void keep_off_callers_processor() {
    const int mine = sched_getcpu();
    if (sleeping_.load(std::memory_order_acquire) == 0 || mine < 0 || mine == kept_off_) return;
    cpu_set_t others = allowed_;
    CPU_CLR(mine, &others);
    if (CPU_COUNT(&others) < static_cast<int>(workers_.size())) return;
    kept_off_ = mine;
    for (std::thread& worker : workers_)
      pthread_setaffinity_np(worker.native_handle(), sizeof others, &others);
  }

  void wake() {
    wakes_.fetch_add(1, std::memory_order_release);
    wakes_.notify_all();
  }

  bool claim_one() {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while ((ticket & 0xffffffff) != 0) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acquire)) continue;
      try {
        const cpu::Flush flush(flush_);  // as the caller has it: no result depends on the thread
        (*task_)(static_cast<int64_t>((ticket & 0xffffffff) - 1));
      } catch (...) {  // out of memory, say: the caller's thread hears of it
        const std::lock_guard lock(error_mutex_);
        if (!error_ || (ticket & 0xffffffff) < failed_) error_ = std::current_exception();
        failed_ = std::min(failed_, ticket & 0xffffffff);
      }
      done_.fetch_add(1, std::memory_order_release);
      return true;
    }
    return false;
  }

  void work() {
    inside_task = true;
    for (;;) {
      const int seen = wakes_.load(std::memory_order_acquire);  // before stop_, or its wake might be missed
      if (stop_) return;
      if (claim_one()) continue;
      if (woken_while_spinning(seen)) continue;
      ++sleeping_;
      wakes_.wait(seen, std::memory_order_acquire);
      --sleeping_;
    }
  }

  bool woken_while_spinning(int seen) const {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    while (spins_ && std::chrono::steady_clock::now() < end) {
      for (int i = 0; i < 32; ++i) {
        if (wakes_.load(std::memory_order_acquire) != seen) return true;
        relax();
      }
    }
    return false;
  }

  std::vector<std::thread> workers_;
  std::mutex busy_;
  const cpu::TaskRef* task_ = nullptr;
  bool flush_ = false;
  std::mutex error_mutex_;
  std::exception_ptr error_;  // of this job's first task that failed
  uint64_t failed_ = 0;       // which: one more than its number
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int> wakes_{0};
  std::atomic<int> sleeping_{0};
  cpu_set_t allowed_;  // when the pool was made
  int kept_off_ = -1;  // the processor that workers may not run on
  std::atomic<bool> stop_{false};
  bool spins_;
};

std::unique_ptr<Pool>& pool() {
  static std::unique_ptr<Pool> instance = std::make_unique<Pool>(available_processors());
  return instance;
}

}  // namespace

int available_processors() {
  cpu_set_t set;
  int count = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  return std::max(1, static_cast<int>(std::min<double>(count, std::round(cpu::cgroup_processors()))));
}

int threads() { return pool()->size(); }

void set_threads(int count) {
  if (count < 1) throw Error(fmt::format("set_threads: {}; required is at least 1", count));
  if (count == threads()) return;
  auto fresh = std::make_unique<Pool>(count);
  if (fresh->size() < count)
    throw Error(fmt::format(
        "set_threads: {} threads required, {} could start; ask for fewer, or raise the limits on processes "
        "and memory (ulimit -u, ulimit -v)",
        count, fresh->size()));
  pool() = std::move(fresh);
}

namespace cpu {

void parallel(int64_t count, TaskRef task) {
  // A task's own thread may hold the pool's mutex, which it must not try again: so ask that first.
  if (count > 1 && !inside_task) return pool()->run(count, task);
  for (int64_t i = 0; i < count; ++i) task(i);
}

bool is_alone() { return inside_task || threads() == 1; }

Alone::Alone() : previous_(std::exchange(inside_task, true)) {}
Alone::~Alone() { inside_task = previous_; }

namespace {

class Memory {
 public:
  std::byte* at_least(size_t bytes) {
    if (bytes > size_) {
      const size_t rounded = (bytes + 4095) / 4096 * 4096;
      data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
      size_ = data_ ? rounded : 0;
      if (!data_) throw std::bad_alloc();
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace

std::byte* workspace(size_t bytes) {
  thread_local Memory memory;
  return memory.at_least(bytes);
}

std::byte* part_room(size_t bytes) {
  thread_local Memory memory;
  return memory.at_least(bytes);
}

}  // namespace cpu
}  // namespace varve
