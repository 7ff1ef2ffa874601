#include <varve/cuda/verdicts.h>

#include <algorithm>
#include <new>

#include <varve/cuda/capture.h>  // CannotRecord

namespace varve::cuda {

Verdicts::Verdicts(Findings& findings) : findings_(findings) {
  void* memory = nullptr;
  VARVE_CUDA_CHECK(cudaHostAlloc(&memory, kMost * sizeof *found_, cudaHostAllocMapped));
  found_ = static_cast<int64_t*>(memory);
  std::fill_n(found_, kMost, kNothingFound);
  const std::lock_guard lock(findings_.mutex_);
  findings_.living_.push_back(this);
}

Verdicts::~Verdicts() {
  {
    const std::lock_guard lock(findings_.mutex_);
    std::erase(findings_.living_, this);
    try {
      if (const auto f = found()) findings_.left_.push_back(*f);
    } catch (const std::bad_alloc&) {  // then nobody hears of it
    }
  }
  cudaFreeHost(found_);
}

int64_t* Verdicts::place(const IndexRange& range) {
  const std::lock_guard lock(findings_.mutex_);  // another thread's download may be looking
  if (questions_.size() == kMost) throw CannotRecord();
  questions_.push_back(range);
  return found_ + questions_.size() - 1;
}

void Verdicts::start_for(Asker asker) {
  if (questions_.empty()) return;
  const std::lock_guard lock(findings_.mutex_);
  thread_ = asker.thread;
}

std::optional<Findings::Finding> Verdicts::found() const {
  for (size_t i = 0; i < questions_.size(); ++i)
    if (const int64_t index = static_cast<volatile int64_t&>(found_[i]); index != kNothingFound)
      return Findings::Finding{questions_[i], index, thread_};
  return {};
}

bool Verdicts::touches(const void* from, size_t bytes) const {
  const auto first = reinterpret_cast<uintptr_t>(from);
  return std::any_of(written_.begin(), written_.end(),
                     [&](const auto& r) { return r.first < first + bytes && first < r.end; });
}

void Findings::refuse(const void* from, size_t bytes) {
  const Asker by = asker();
  const std::lock_guard lock(mutex_);
  for (Verdicts* v : living_) {
    const auto found = v->found();
    if (!found || (found->thread != by.thread && !v->touches(from, bytes))) continue;
    if (found->thread == by.thread && by.is_here)
      std::fill_n(v->found_, v->questions_.size(), kNothingFound);  // all are of what went wrong once
    found->range.refuse(found->index);
  }
  const auto mine =
      std::find_if(left_.begin(), left_.end(), [&](const Finding& f) { return f.thread == by.thread; });
  if (mine == left_.end()) return;
  const Finding found = *mine;
  if (by.is_here) left_.erase(mine);
  found.range.refuse(found.index);
}

}  // namespace varve::cuda
