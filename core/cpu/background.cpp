#include <varve/core/cpu/background.h>

#include <pthread.h>
#include <sched.h>

namespace varve::cpu {
namespace {

bool change_policy(int from, int to) {
  sched_param parameters{};
  int policy = 0;
  return pthread_getschedparam(pthread_self(), &policy, &parameters) == 0 && policy == from &&
         pthread_setschedparam(pthread_self(), to, &parameters) == 0;
}

}  // namespace

// Another policy is the program's own choice: a real-time thread's, say, or of one that only wants idle
// processors. Where the system refuses, the work is done all the same.
Background::Background() : batch_(change_policy(SCHED_OTHER, SCHED_BATCH)) {}
Background::~Background() {
  if (batch_) change_policy(SCHED_BATCH, SCHED_OTHER);
}

}  // namespace varve::cpu
