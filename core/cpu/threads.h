// The thread pool: tasks numbered by the problem alone, run by whoever is free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include <varve/core/export.h>

namespace varve {

// How many threads kernels use; at start the processors this process may use, by affinity and by cgroup, or
// fewer where no more threads can start.
VARVE_API int threads();
// 1 to 16384; an Error, and no change, where so many cannot start, or from inside a kernel. Waits for the
// kernel that the pool runs.
VARVE_API void set_threads(int count);
VARVE_API int available_processors();

namespace cpu {

// A borrowed function of a task number; costs nothing to make.
class TaskRef {
 public:
  template <class F>
  TaskRef(const F& f)  // NOLINT: implicit by design
      : object_(&f), call_([](const void* o, int64_t i) { (*static_cast<const F*>(o))(i); }) {}
  void operator()(int64_t i) const { call_(object_, i); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t);
};

// Runs task(0) ... task(count - 1), each once, in any order, and returns when all are done; what the
// first of the tasks that threw did throw is thrown again here. A caller that finds the pool busy, and a task
// itself, runs its tasks alone.
VARVE_API void parallel(int64_t count, TaskRef task);

// Whether parallel would run tasks on this thread alone.
VARVE_API bool is_alone();
// While one lives it does, and the pool is left to others.
class VARVE_API Alone {
 public:
  Alone();
  ~Alone();
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  bool previous_;
};

}  // namespace cpu
}  // namespace varve
