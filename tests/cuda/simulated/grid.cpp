#include "tests/cuda/simulated/grid.h"

#include <algorithm>
#include <array>
#include <barrier>
#include <deque>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "tests/cuda/simulated/crew.h"
#include "tests/cuda/simulated/device.h"
#include "tests/cuda/simulated/stack.h"

constinit thread_local uint3 threadIdx{}, blockIdx{}, blockDim{}, gridDim{};

namespace varve::simulated {
namespace {

constexpr int kLanes = 32;
constexpr unsigned kMostRanks = 16;

struct Thread;

// Threads that wait for each other.
struct Group {
  size_t alive = 0;
  bool of_block = true;  // else all blocks of the cluster have to come
  std::vector<Thread*> waiting;
  bool is_complete() const { return alive > 0 && waiting.size() == alive; }
  bool opens() const { return of_block && is_complete(); }
};

struct Warp {
  Group group;
  std::array<std::array<std::array<std::byte, 16>, kLanes>, 2> given;  // of this exchange and of the last
};

struct Copy {
  void* to;
  const void* from;
  size_t some, bytes;
};

void carry_out(const Copy& c) {
  std::memset(c.to, 0, c.bytes);
  std::memcpy(c.to, c.from, c.some);
}

struct Thread {
  uint3 index;
  Warp* warp;
  int lane;
  Stack* stack = nullptr;
  size_t exchanges = 0;
  bool has_waited = false;  // for what came before its kernel
  std::vector<Copy> batch;
  std::vector<std::vector<Copy>> batches;
};

// Blocks whose shared memory is each other's to read.
struct Cluster {
  explicit Cluster(unsigned size) : meeting(size) {}
  std::barrier<> meeting;
  std::array<std::byte*, kMostRanks> anchor;
};
thread_local std::byte anchor;  // lies as far from a block's shared memory in every thread of the host

class Block;
thread_local Block* block = nullptr;
thread_local Thread* thread = nullptr;
thread_local Stack scheduler;
thread_local std::vector<std::unique_ptr<Stack>> idle_stacks;

class Block {
 public:
  Block(const Kernel& kernel, uint3 index, Cluster* cluster, std::minstd_rand& chance)
      : kernel_(kernel),
        index_(index),
        cluster_(cluster),
        chance_(chance),
        ready_first_(chance() % 2),
        last_first_(chance() % 2),
        copies_at_once_(chance() % 2) {
    const dim3 n = kernel.threads;
    const size_t count = size_t{n.x} * n.y * n.z;
    warps_.resize((count + kLanes - 1) / kLanes);
    threads_.reserve(count), order_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const auto t = static_cast<unsigned>(i);
      Warp& warp = warps_[i / kLanes];
      threads_.push_back({{t % n.x, t / n.x % n.y, t / n.x / n.y}, &warp, static_cast<int>(i % kLanes)});
      ++warp.group.alive, ++all_.alive, ++in_cluster_.alive;
    }
    size_t step = 1 + chance_() % count;  // in strides through the block
    while (std::gcd(step, count) != 1) ++step;
    for (size_t i = 0, at = chance_() % count; i < count; ++i, at = (at + step) % count)
      order_.push_back(&threads_[at]);
  }

  void run() {
    block = this;
    while (left_ < threads_.size()) {
      if (!ready_.empty() && (ready_first_ || started_ == order_.size()))
        go_on();
      else if (started_ < order_.size())
        start();
      else if (cluster_ && in_cluster_.is_complete())
        cluster_->meeting.arrive_and_wait(), release(in_cluster_);
      else
        misuse("threads wait for others of their block that do not come");
    }
    block = nullptr;
  }
  void wait(Group& group) {
    Thread* const me = thread;
    group.waiting.push_back(me);
    if (group.opens()) release(group);
    me->stack->switch_to(scheduler);
    enter(me);
  }
  Group& all() { return all_; }
  Group& in_cluster() { return in_cluster_; }
  Cluster* cluster() const { return cluster_; }
  bool copies_at_once() const { return copies_at_once_; }

  // On a stack that nobody is on: one thread after the other. Where one waits, others go on on other stacks.
  // When this returns, the stack is another block's.
  void work(Stack* mine) {
    while (started_ < order_.size()) {
      Thread* const t = order_[started_++];
      t->stack = mine;
      enter(t);
      kernel_.call(kernel_);
      leave(*t);
    }
    idle_stacks.emplace_back(mine);
    mine->switch_to(scheduler);
  }

 private:
  void enter(Thread* t) {
    thread = t;
    const auto plain = [](dim3 d) { return uint3{d.x, d.y, d.z}; };
    threadIdx = t->index, blockIdx = index_;
    blockDim = plain(kernel_.threads), gridDim = plain(kernel_.blocks);
  }
  void leave(Thread& t) {
    if (!t.has_waited) misuse("a thread of a kernel ends that never waited for its turn");
    ++left_;
    for (Group* group : {&t.warp->group, &all_, &in_cluster_}) {
      --group->alive;
      if (group->opens()) release(*group);
    }
  }
  void release(Group& group) {
    if (chance_() % 2) std::reverse(group.waiting.begin(), group.waiting.end());
    ready_.insert(ready_.end(), group.waiting.begin(), group.waiting.end());
    group.waiting.clear();
  }
  void go_on() {
    Thread* const t = last_first_ ? ready_.back() : ready_.front();
    last_first_ ? ready_.pop_back() : ready_.pop_front();
    scheduler.switch_to(*t->stack);
  }
  void start();

  const Kernel& kernel_;
  uint3 index_;
  Cluster* cluster_;
  std::minstd_rand& chance_;
  bool ready_first_;  // before those that have not begun
  bool last_first_;   // some run far ahead of others
  const bool copies_at_once_;
  std::vector<Warp> warps_;
  std::vector<Thread> threads_;
  std::vector<Thread*> order_;
  Group all_, in_cluster_{.of_block = false};
  std::deque<Thread*> ready_;
  size_t started_ = 0, left_ = 0;
};

// What a new stack begins with. Blocks come and go under it.
thread_local Stack* newest = nullptr;
void begin() {
  Stack::arrive_from(scheduler);
  Stack* const mine = newest;
  for (;;) block->work(mine);
}

void Block::start() {
  if (idle_stacks.empty()) idle_stacks.push_back(std::make_unique<Stack>(begin));
  newest = idle_stacks.back().release();  // until it is idle again
  idle_stacks.pop_back();
  scheduler.switch_to(*newest);
}

uint3 index_of(const Kernel& kernel, size_t i) {
  const dim3 n = kernel.blocks;
  const auto at = static_cast<unsigned>(i);
  return {at % n.x, at / n.x % n.y, at / n.x / n.y};
}

}  // namespace

void run(const Kernel& kernel) {
  const dim3 n = kernel.blocks;
  const unsigned size = kernel.cluster;
  if (size > kMostRanks || n.x % size != 0) misuse("a grid is not made of whole clusters");
  std::vector<size_t> clusters(size_t{n.x} * n.y * n.z / size);
  for (size_t c = 0; c < clusters.size(); ++c) clusters[c] = c * size;
  std::shuffle(clusters.begin(), clusters.end(), chance());
  const unsigned seed = chance()();
  std::optional<Cluster> cluster;
  if (size > 1) cluster.emplace(size);
  in_ranks(size, [&](unsigned rank) {
    std::minstd_rand own(seed + rank);
    if (cluster) cluster->anchor[rank] = &anchor, cluster->meeting.arrive_and_wait();
    for (const size_t first : clusters)
      Block(kernel, index_of(kernel, first + rank), cluster ? &*cluster : nullptr, own).run();
  });
}

void meet_block() { block->wait(block->all()); }

void meet_cluster() {
  if (block->cluster()) block->wait(block->in_cluster());
}

const void* in_block(const void* mine, unsigned rank) {
  if (!block->cluster()) return mine;
  return block->cluster()->anchor[rank] + (static_cast<const std::byte*>(mine) - &anchor);
}

void copy_later(void* to, const void* from, size_t some, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(to) % bytes != 0 || reinterpret_cast<uintptr_t>(from) % bytes != 0)
    misuse("an asynchronous copy is not aligned");
  const Copy copy{to, from, some, bytes};
  block->copies_at_once() ? carry_out(copy) : thread->batch.push_back(copy);
}

void take_turn() { thread->has_waited = true; }

void end_of_batch() {
  thread->batches.push_back(std::move(thread->batch));
  thread->batch.clear();
}

void wait_for_batches(size_t left) {
  for (auto& batches = thread->batches; batches.size() > left; batches.erase(batches.begin()))
    for (const Copy& c : batches.front()) carry_out(c);
}

int lane() { return thread->lane; }

void exchange(void* value, size_t bytes, int from) {
  auto& given = thread->warp->given[thread->exchanges++ % 2];
  if (bytes > given[0].size()) misuse("a shuffle of more than sixteen bytes");
  std::memcpy(given[static_cast<size_t>(thread->lane)].data(), value, bytes);
  block->wait(thread->warp->group);
  std::memcpy(value, given[static_cast<size_t>(from)].data(), bytes);
}

}  // namespace varve::simulated
