// Verdicts: what recorded kernels find of indices, for the host to look at later.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include <varve/core/backend.h>
#include <varve/core/index_range.h>
#include <varve/cuda/dependencies.h>

namespace varve::cuda {

struct Context;
class Verdicts;

// What the recordings of a device found and nobody has heard of.
class Findings {
 public:
  // After bytes were read: throws what the asker has to hear of, or what was found by who writes that memory.
  void refuse(const void* from, size_t bytes);
  // What throws, once all that was asked until now is done, what the asker would have to hear of then, and
  // still has to; null where nothing can be.
  std::function<void()> so_far(Context& on);

 private:
  friend class Verdicts;
  struct Finding {
    IndexRange range;
    int64_t index;
    uint64_t thread;  // whose it is
  };
  std::mutex mutex_;
  std::vector<Verdicts*> living_;
  static constexpr size_t kMostLeft = 64;
  std::vector<Finding> left_;  // by recordings that are gone or another's; the last of them
};

// Memory that host and device see, where the kernels of a recording put an index that is out of range.
class Verdicts {
 public:
  explicit Verdicts(Findings& findings);
  ~Verdicts();  // when the recording's work is done
  Verdicts(const Verdicts&) = delete;
  Verdicts& operator=(const Verdicts&) = delete;

  // A place for what is found outside of the range.
  int64_t* place(const IndexRange& range);
  // All that the recording writes.
  void watch(std::vector<Dependencies::Range> written) { written_ = std::move(written); }
  // Whether what is found is not, or would not be, the asker's.
  bool are_anothers(Asker asker) const {
    return !questions_.empty() && thread_ != 0 && thread_ != asker.thread;
  }
  // What is found from now on is the asker's.
  void start_for(Asker asker);

 private:
  friend class Findings;
  static constexpr size_t kMost = 4096;
  std::optional<Findings::Finding> found() const;
  bool touches(const void* from, size_t bytes) const;
  void clear();
  void leave() noexcept;  // what was found, to be heard of when this is gone or another's

  Findings& findings_;
  int64_t* found_ = nullptr;
  std::vector<IndexRange> questions_;
  std::vector<Dependencies::Range> written_;
  uint64_t thread_ = 0;
};

// What a verdict is before anything is found; no index of a tensor that exists.
inline constexpr int64_t kNothingFound = INT64_MIN;

}  // namespace varve::cuda
