// Verdicts: what recorded kernels find of indices, for the host to look at later.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <varve/core/backend.h>
#include <varve/core/index_range.h>
#include <varve/cuda/check.h>
#include <varve/cuda/dependencies.h>

namespace varve::cuda {

struct Context;
class Verdicts;

// What a verdict is before anything is found; no index of a tensor that exists.
inline constexpr int64_t kNothingFound = INT64_MIN;

// Memory that host and device see, for so many verdicts.
class VerdictPlaces {
 public:
  explicit VerdictPlaces(size_t count);
  ~VerdictPlaces() { cudaFreeHost(data_); }
  VerdictPlaces(const VerdictPlaces&) = delete;
  VerdictPlaces& operator=(const VerdictPlaces&) = delete;
  int64_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  int64_t* data_ = nullptr;
  size_t size_;
};

// What the recordings of a device found and nobody has heard of.
class Findings {
 public:
  // After bytes were read: throws what the asker has to hear of, or what was found by who writes that memory.
  void refuse(Backend::Memory memory);
  // What throws, once all that was asked until now is done, what the asker, or who reads that memory, would
  // have to hear of then; null where nothing can be. What is another's is that one's to hear of from then on.
  using Memories = std::span<const Backend::Memory>;
  std::function<void()> so_far(Context& on, Memories memory);

 private:
  friend class Verdicts;
  struct Finding {
    IndexRange range;
    int64_t index;
    uint64_t thread;  // whose it is
  };
  std::vector<Finding>::iterator left_for(Asker asker);
  void pass_on(Asker from, Memories memory);
  std::shared_ptr<VerdictPlaces> places_for(size_t count);
  void let_copies_end() const noexcept;  // before what they copy is cleared

  std::mutex mutex_;
  std::vector<Verdicts*> living_;
  static constexpr size_t kMostLeft = 64;
  std::vector<Finding> left_;  // by recordings that are gone or another's; the last of them
  struct Copied;
  std::shared_ptr<const Copied> last_copied_;
  std::vector<std::shared_ptr<VerdictPlaces>> copies_;  // for who asks so_far, one after the other
};

// Where the kernels of a recording put an index that is out of range.
class Verdicts {
 public:
  explicit Verdicts(Findings& findings);
  ~Verdicts();  // when the recording's work is done
  Verdicts(const Verdicts&) = delete;
  Verdicts& operator=(const Verdicts&) = delete;

  // A place for what is found outside of the range.
  int64_t* place(const IndexRange& range);
  // All that the recording writes.
  void watch(std::vector<Dependencies::Range> written);
  // What is found from now on is the asker's. Where it was another's, all that is on the stream is waited
  // for.
  void start_for(Asker asker, cudaStream_t stream);

 private:
  friend class Findings;
  static constexpr size_t kMost = 4096;
  std::optional<Findings::Finding> found() const;
  bool touches(Findings::Memories memory) const;
  void clear() noexcept;
  void leave() noexcept;  // what was found, to be heard of when this is gone or another's

  Findings& findings_;
  VerdictPlaces found_{kMost};
  std::vector<IndexRange> questions_;
  std::vector<Dependencies::Range> written_;
  uint64_t thread_ = 0;  // whose it is, or nobody's yet
};

}  // namespace varve::cuda
