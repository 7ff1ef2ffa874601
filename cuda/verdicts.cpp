#include <varve/cuda/verdicts.h>

#include <algorithm>

#include <varve/cuda/capture.h>  // CannotRecord

namespace varve::cuda {

Verdicts::Verdicts(Context& on) : on_(on) {
  void* memory = nullptr;
  VARVE_CUDA_CHECK(cudaHostAlloc(&memory, kMost * sizeof *found_, cudaHostAllocMapped));
  found_ = static_cast<int64_t*>(memory);
  std::fill_n(found_, kMost, kNothingFound);
  const std::lock_guard lock(on_.verdicts_mutex);
  on_.verdicts.push_back(this);
}

Verdicts::~Verdicts() {
  {
    const std::lock_guard lock(on_.verdicts_mutex);
    std::erase(on_.verdicts, this);
  }
  cudaFreeHost(found_);
}

int64_t* Verdicts::place(const IndexRange& range) {
  const std::lock_guard lock(on_.verdicts_mutex);  // another thread's download may be looking
  if (questions_.size() == kMost) throw CannotRecord();
  questions_.push_back(range);
  return found_ + questions_.size() - 1;
}

void Verdicts::check() {
  for (size_t i = 0; i < questions_.size(); ++i) {
    const int64_t found = static_cast<volatile int64_t&>(found_[i]);
    if (found == kNothingFound) continue;
    found_[i] = kNothingFound;
    questions_[i].refuse(found);
  }
}

}  // namespace varve::cuda
