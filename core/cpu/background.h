// Background: work beside a step's, by a thread of the library's own: the next batch, the last checkpoint.
#pragma once

#include <varve/core/cpu/threads.h>

namespace varve::cpu {

// While one lives, this thread leaves the pool to others, and is a batch job of the system's: where all
// processors are busy, it takes none from a thread that computes when it wakes.
class VARVE_API Background {
 public:
  Background();
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  Alone alone_;
  bool batch_;
};

}  // namespace varve::cpu
