// A thread that works beside a step: alone, and as a batch job where nobody chose otherwise.
#include <varve/core/cpu/background.h>

#include <doctest/doctest.h>
#include <pthread.h>
#include <sched.h>

#include <thread>

using namespace varve;

namespace {

int policy() {
  sched_param none{};
  int found = -1;
  pthread_getschedparam(pthread_self(), &found, &none);
  return found;
}

// Whether the system lets this thread have it.
bool take_policy(int wanted) {
  const sched_param none{};
  return pthread_setschedparam(pthread_self(), wanted, &none) == 0 && policy() == wanted;
}

// On a thread of its own, so that the others' policy stays as it is.
void elsewhere(const auto& f) { std::thread(f).join(); }

}  // namespace

TEST_CASE("a thread is alone in the background, and is not afterwards") {
  const int before = threads();
  set_threads(2);
  elsewhere([] {
    {
      const cpu::Background background;
      CHECK(cpu::is_alone());
    }
    CHECK_FALSE(cpu::is_alone());
  });
  set_threads(before);
}

TEST_CASE("a thread in the background is a batch job, and is not afterwards") {
  elsewhere([] {
    if (policy() != SCHED_OTHER || !take_policy(SCHED_BATCH) || !take_policy(SCHED_OTHER)) {
      MESSAGE("skipped: this system changes no policy");
      return;
    }
    {
      const cpu::Background background;
      CHECK(policy() == SCHED_BATCH);
      const cpu::Background within;
      CHECK(policy() == SCHED_BATCH);
    }
    CHECK(policy() == SCHED_OTHER);
  });
}

TEST_CASE("a policy that the program chose stays in the background") {
  elsewhere([] {
    if (!take_policy(SCHED_IDLE)) {
      MESSAGE("skipped: this system changes no policy");
      return;
    }
    {
      const cpu::Background background;
      CHECK(policy() == SCHED_IDLE);
    }
    CHECK(policy() == SCHED_IDLE);
  });
}
