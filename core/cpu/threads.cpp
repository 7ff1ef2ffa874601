#include <varve/core/cpu/threads.h>

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <varve/core/cpu/cgroup.h>
#include <varve/core/cpu/flush.h>
#include <varve/core/cpu/workspace.h>
#include <varve/core/error.h>

namespace varve {
namespace {

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

thread_local bool inside_task = false;

// One job at a time. Its tasks are cut into one share for each thread, the same from job to job, so that a
// thread comes back to what it left in its own cache; who is done with its own helps others. What is left of
// a share is one number, and a task is claimed by a compare-and-swap of it: a worker that wakes late finds
// nothing of a job that has ended.
class Pool {
 public:
  // Of `count` threads, the caller's among them, or of as many as the system lets start.
  explicit Pool(int count) : spins_(count <= available_processors()), shares_(static_cast<size_t>(count)) {
    if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) CPU_ZERO(&allowed_);
    try {
      while (size() < count) workers_.emplace_back([this, own = workers_.size() + 1] { work(own); });
    } catch (const std::exception&) {  // no more threads, or no memory for one
    }
  }

  ~Pool() {
    stop_ = true;
    wake();
    for (std::thread& t : workers_) t.join();
  }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // One run at a time.
  void run(int64_t count, const cpu::TaskRef& task) {
    task_ = &task;
    flush_ = cpu::Flush::is_on();
    error_ = nullptr;
    failed_ = count;
    done_.store(0, std::memory_order_relaxed);
    share_out(count);
    keep_off_callers_processor();
    wake();
    inside_task = true;
    work_on_job(0);
    inside_task = false;
    for (int64_t spins = 0; done_.load(std::memory_order_acquire) < count; ++spins) {
      relax();
      if (!spins_ || spins > 1000) std::this_thread::yield();
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  struct alignas(64) Share {
    std::atomic<int64_t> left{0};  // tasks end - left ... end - 1
    int64_t end = 0;
  };

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

  void share_out(int64_t count) {
    const int64_t each = count / size(), more = count % size();
    int64_t end = 0;
    for (int64_t i = 0; i < size(); ++i) {
      const int64_t tasks = each + (i < more);
      Share& share = shares_[static_cast<size_t>(i)];
      share.end = end += tasks;
      share.left.store(tasks, std::memory_order_release);
    }
  }

  // Whether there was a task left to be done.
  bool do_one(Share& share) {
    int64_t left = share.left.load(std::memory_order_acquire);
    do {
      if (left == 0) return false;
    } while (!share.left.compare_exchange_weak(left, left - 1, std::memory_order_acquire));
    const int64_t task = share.end - left;
    try {
      const cpu::Flush flush(flush_);  // as the caller has it: no result depends on the thread
      (*task_)(task);
    } catch (...) {  // out of memory, say: the caller's thread hears of it
      const std::lock_guard lock(error_mutex_);
      if (task < failed_) error_ = std::current_exception();
      failed_ = std::min(failed_, task);
    }
    return true;
  }

  // Its own share, then what is left of the others'. Whether there was anything to do.
  bool work_on_job(size_t own) {
    bool any = false;
    for (size_t i = 0; i < shares_.size(); ++i) {
      int64_t done = 0;
      while (do_one(shares_[(own + i) % shares_.size()])) ++done;
      if (done != 0) done_.fetch_add(done, std::memory_order_release), any = true;
    }
    return any;
  }

  void work(size_t own) {
    inside_task = true;
    cpu::reserve_workspaces();
    for (;;) {
      const int seen = wakes_.load(std::memory_order_acquire);  // before stop_, or its wake might be missed
      if (stop_) return;
      if (work_on_job(own)) continue;
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
  const cpu::TaskRef* task_ = nullptr;
  bool flush_ = false;
  std::mutex error_mutex_;
  std::exception_ptr error_;  // of this job's first task that failed
  int64_t failed_ = 0;        // which
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int> wakes_{0};
  std::atomic<int> sleeping_{0};
  cpu_set_t allowed_;  // when the pool was made
  int kept_off_ = -1;  // the processor that workers may not run on
  std::atomic<bool> stop_{false};
  const bool spins_;
  std::vector<Share> shares_;
};

// The process's pool. Who holds `busy` may run a job on it, or put another in its place.
struct Shared {
  std::mutex busy;
  std::unique_ptr<Pool> pool = std::make_unique<Pool>(available_processors());
  std::atomic<int> size = pool->size();
};
Shared& shared() {
  static Shared instance;
  return instance;
}

}  // namespace

int available_processors() {
  cpu_set_t set;
  int count = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  return std::max(1, static_cast<int>(std::min<double>(count, std::round(cpu::cgroup_processors()))));
}

int threads() { return shared().size.load(std::memory_order_relaxed); }

void set_threads(int count) {
  constexpr int kMost = 1 << 14;
  if (count < 1 || count > kMost)
    throw Error(fmt::format("set_threads: {}; required is 1 to {}", count, kMost));
  if (inside_task)
    throw Error("set_threads: called by a task, or by a thread that computes alone; call it from another");
  if (count == threads()) return;
  auto fresh = std::make_unique<Pool>(count);
  if (fresh->size() < count)
    throw Error(fmt::format(
        "set_threads: {} threads required, {} could start; ask for fewer, or raise the limits on processes "
        "and memory (ulimit -u, ulimit -v)",
        count, fresh->size()));
  const std::lock_guard lock(shared().busy);
  shared().size = count;
  shared().pool.swap(fresh);  // whose threads end after the lock does
}

namespace cpu {

void parallel(int64_t count, TaskRef task) {
  // A task's own thread may hold the mutex, which it must not try again: so ask that first.
  if (count > 1 && !is_alone())
    if (const std::unique_lock lock(shared().busy, std::try_to_lock); lock)
      return shared().pool->run(count, task);
  for (int64_t i = 0; i < count; ++i) task(i);
}

bool is_alone() { return inside_task || threads() == 1; }

Alone::Alone() : previous_(std::exchange(inside_task, true)) {}
Alone::~Alone() { inside_task = previous_; }

}  // namespace cpu
}  // namespace varve
