// The pool of threads: what it does when the system has no more of them.
#include <doctest/doctest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include <varve/core/cpu/threads.h>
#include <varve/core/error.h>

#include "tests/scarce_threads.h"

using namespace varve;

namespace {

// The pool's first use, before main: where no thread can start.
const int first_size = [] {
  const test::ScarceThreads none(0);
  return threads();
}();

int64_t sum_of_tasks() {
  std::atomic<int64_t> sum{0};
  cpu::parallel(1000, [&](int64_t i) { sum += i; });
  return sum;
}

}  // namespace

TEST_CASE("a process that can start no thread computes with its own") {
  CHECK(first_size == 1);
  CHECK(sum_of_tasks() == 499500);
}

TEST_CASE("threads that cannot start are an error, and the pool stays as it was") {
  const int before = threads();
  for (int started : {0, 1, 5}) {
    const test::ScarceThreads scarce(started);
    const std::string found = "8 threads required, " + std::to_string(started + 1) + " could start";
    CHECK_THROWS_WITH_AS(set_threads(8), doctest::Contains(found.c_str()), Error);
    CHECK(threads() == before);
    CHECK(sum_of_tasks() == 499500);
  }
  set_threads(8);
  CHECK(threads() == 8);
  CHECK(sum_of_tasks() == 499500);
  set_threads(available_processors());
}

TEST_CASE("the number of threads may change while others compute, but not from inside a kernel") {
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread other([&] {
    while (!stop) wrong += sum_of_tasks() != 499500;
  });
  for (int i = 0; i < 62; ++i) set_threads(2 + i % 3);
  stop = true;
  other.join();
  CHECK(wrong == 0);
  CHECK(threads() == 3);
  CHECK_THROWS_WITH_AS(cpu::parallel(10, [](int64_t) { set_threads(2); }),
                       doctest::Contains("called by a task"), Error);
  CHECK(threads() == 3);
  set_threads(available_processors());
}

TEST_CASE("a job of fewer tasks than threads, of as many, and of more: each is done once") {
  for (const int count : {1, 2, 7}) {
    set_threads(count);
    for (int64_t tasks : {0, 1, 2, 3, 6, 7, 8, 13, 14, 15, 700}) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(tasks));
      cpu::parallel(tasks, [&](int64_t i) { ++done[static_cast<size_t>(i)]; });
      for (const auto& times : done) REQUIRE(times == 1);
    }
  }
  set_threads(available_processors());
}

TEST_CASE("a pool ends however soon after its start") {
  for (int i = 0; i < 500; ++i) set_threads(2 + i % 2);
  CHECK(sum_of_tasks() == 499500);
  set_threads(available_processors());
}

TEST_CASE("a worker that slept is woken on another processor than the caller's") {
  const int processors = available_processors();
  if (processors < 2) {
    MESSAGE("skipped: there is one processor");
    return;
  }
  set_threads(2);
  const auto caller = std::this_thread::get_id();
  bool kept_off = false;
  for (int attempt = 0; attempt < 100 && !kept_off; ++attempt) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds(20));  // workers spin for less; on a busy machine, more
    std::atomic<int> anywhere{0}, helped{0};
    cpu::parallel(200, [&](int64_t) {
      if (std::this_thread::get_id() == caller)
        return std::this_thread::sleep_for(std::chrono::microseconds(100));  // leaves some to the worker
      cpu_set_t mine;
      sched_getaffinity(0, sizeof mine, &mine);
      ++helped;
      anywhere += CPU_COUNT(&mine) >= processors;
    });
    kept_off = helped > 0 && anywhere == 0;
  }
  CHECK(kept_off);
}

TEST_CASE("a thread that is alone leaves the pool to others") {
  set_threads(2);
  const auto caller = std::this_thread::get_id();
  {
    const cpu::Alone alone;
    const cpu::Alone within;
    CHECK(cpu::is_alone());
    std::atomic<int> elsewhere{0};
    cpu::parallel(1000, [&](int64_t) { elsewhere += std::this_thread::get_id() != caller; });
    CHECK(elsewhere == 0);
    CHECK(sum_of_tasks() == 499500);
  }
  CHECK_FALSE(cpu::is_alone());
  set_threads(available_processors());
}

TEST_CASE("workers that have nothing to do stop spinning") {
  const int processors = available_processors();
  if (processors < 2) {
    MESSAGE("skipped: there is one processor");
    return;
  }
  set_threads(processors);  // all spin: each has a processor
  CHECK(sum_of_tasks() == 499500);
  const std::clock_t before = std::clock();  // the process's time on processors: others take none of it
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const double used = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  CHECK(used < 0.1 * (processors - 1) / 4);
}
