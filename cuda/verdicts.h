// Verdicts: what recorded kernels find of indices, for the host to look at later.
#pragma once

#include <vector>

#include <varve/core/index_range.h>
#include <varve/cuda/context.h>

namespace varve::cuda {

// Memory that host and device see, where recorded kernels put an index that is out of range.
class Verdicts {
 public:
  explicit Verdicts(Context& on);
  ~Verdicts();
  Verdicts(const Verdicts&) = delete;
  Verdicts& operator=(const Verdicts&) = delete;

  // A place for what is found outside of the range.
  int64_t* place(const IndexRange& range);
  // Throws what was found, once.
  void check();

 private:
  static constexpr size_t kMost = 4096;
  Context& on_;
  int64_t* found_ = nullptr;
  std::vector<IndexRange> questions_;
};

// What a verdict is before anything is found; no index of a tensor that exists.
inline constexpr int64_t kNothingFound = INT64_MIN;

}  // namespace varve::cuda
