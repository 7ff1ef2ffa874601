#include <varve/cuda/verdicts.h>

#include <algorithm>
#include <memory>
#include <new>

#include <varve/cuda/capture.h>  // CannotRecord
#include <varve/cuda/drivers.h>

namespace varve::cuda {

VerdictPlaces::VerdictPlaces(size_t count) : size_(count) {
  void* memory = nullptr;
  VARVE_CUDA_CHECK(cudaHostAlloc(&memory, count * sizeof *data_, cudaHostAllocMapped));
  data_ = static_cast<int64_t*>(memory);
  std::fill_n(data_, count, kNothingFound);
}

Verdicts::Verdicts(Findings& findings) : findings_(findings) {
  const std::lock_guard lock(findings_.mutex_);
  findings_.living_.push_back(this);
}

Verdicts::~Verdicts() {
  const std::lock_guard lock(findings_.mutex_);
  std::erase(findings_.living_, this);
  leave();
}

int64_t* Verdicts::place(const IndexRange& range) {
  const std::lock_guard lock(findings_.mutex_);  // another thread's download may be looking
  if (questions_.size() == kMost) throw CannotRecord();
  questions_.push_back(range);
  return found_.data() + questions_.size() - 1;
}

void Verdicts::start_for(Asker asker, cudaStream_t stream) {
  if (questions_.empty() || asker.thread == thread_) return;
  if (thread_ != 0) VARVE_CUDA_CHECK(cudaStreamSynchronize(stream));
  const std::lock_guard lock(findings_.mutex_);
  leave();
  thread_ = asker.thread;
}

// All are of what went wrong once.
void Verdicts::clear() noexcept {
  findings_.let_copies_end();
  std::fill_n(found_.data(), questions_.size(), kNothingFound);
}

void Verdicts::leave() noexcept {
  const auto mine = found();
  if (!mine) return;
  try {
    auto& left = findings_.left_;
    left.push_back(*mine);
    if (left.size() > Findings::kMostLeft) left.erase(left.begin());  // whoever asked has gone, too
  } catch (const std::bad_alloc&) {                                   // then nobody hears of it
  }
  clear();
}

std::optional<Findings::Finding> Verdicts::found() const {
  for (size_t i = 0; i < questions_.size(); ++i)
    if (const int64_t index = static_cast<volatile int64_t&>(found_.data()[i]); index != kNothingFound)
      return Findings::Finding{questions_[i], index, thread_};
  return {};
}

void Verdicts::watch(std::vector<Dependencies::Range> written) {
  const std::lock_guard lock(findings_.mutex_);
  written_ = std::move(written);
}

bool Verdicts::touches(Findings::Memories memory) const {
  return std::any_of(memory.begin(), memory.end(), [&](Backend::Memory m) {
    const auto first = reinterpret_cast<uintptr_t>(m.data());
    return std::any_of(written_.begin(), written_.end(),
                       [&](const auto& r) { return r.first < first + m.size() && first < r.end; });
  });
}

// What verdicts were when the device came to it.
struct Findings::Copied {
  Copied(std::vector<IndexRange> of, std::shared_ptr<VerdictPlaces> places)
      : questions(std::move(of)), found(std::move(places)) {}
  // Which question has an index that was found; as many as there are where none has.
  size_t first() const {
    done.wait();
    const int64_t* const all = found->data();
    return static_cast<size_t>(
        std::find_if(all, all + questions.size(), [](int64_t index) { return index != kNothingFound; }) -
        all);
  }

  std::vector<IndexRange> questions;
  std::shared_ptr<VerdictPlaces> found;
  Event done;
};

// A failure is said by who waits for what was copied.
void Findings::let_copies_end() const noexcept {
  if (last_copied_) cudaEventSynchronize(last_copied_->done);
}

std::vector<Findings::Finding>::iterator Findings::left_for(Asker asker) {
  return std::find_if(left_.begin(), left_.end(), [&](const Finding& f) { return f.thread == asker.thread; });
}

// Memory that the host and a device see takes a while to be had.
std::shared_ptr<VerdictPlaces> Findings::places_for(size_t count) {
  for (const auto& places : copies_)
    if (places.use_count() == 1 && places->size() >= count) return places;
  return copies_.emplace_back(std::make_shared<VerdictPlaces>(std::max(count, Verdicts::kMost)));
}

std::function<void()> Findings::so_far(Context& on, Memories memory) {
  const Asker by = asker();
  const std::lock_guard lock(mutex_);
  if (const auto mine = left_for(by); mine != left_.end())
    return [found = *mine] { found.range.refuse(found.index); };
  std::vector<Verdicts*> asked;
  std::vector<IndexRange> questions;
  for (Verdicts* v : living_) {
    if (v->thread_ != by.thread && !v->touches(memory)) continue;
    if (!v->questions_.empty()) asked.push_back(v);
    questions.insert(questions.end(), v->questions_.begin(), v->questions_.end());
  }
  if (asked.empty()) return nullptr;
  const auto places = places_for(questions.size());
  const auto copied = std::make_shared<Copied>(std::move(questions), places);
  int64_t* to = places->data();
  for (const Verdicts* v : asked) {
    const size_t count = v->questions_.size();
    drive_receive(on, v->found_.data(), to, static_cast<int64_t>(count * sizeof *to));
    to += count;
  }
  copied->done.record(on.stream);
  last_copied_ = copied;
  return [this, by, copied, kept = std::vector(memory.begin(), memory.end())] {
    const size_t i = copied->first();
    if (i == copied->questions.size()) return;
    pass_on(by, kept);
    copied->questions[i].refuse(copied->found->data()[i]);
  };
}

// To those whose it is, as others have heard of it who read that memory.
void Findings::pass_on(Asker from, Memories memory) {
  const std::lock_guard lock(mutex_);
  for (Verdicts* v : living_)
    if (v->thread_ != from.thread && v->touches(memory)) v->leave();
}

void Findings::refuse(Backend::Memory memory) {
  const Asker by = asker();
  const std::lock_guard lock(mutex_);
  for (Verdicts* v : living_) {
    const auto found = v->found();
    if (!found || (found->thread != by.thread && !v->touches({&memory, 1}))) continue;
    if (by.is_here) found->thread == by.thread ? v->clear() : v->leave();
    found->range.refuse(found->index);
  }
  const auto mine = left_for(by);
  if (mine == left_.end()) return;
  const Finding found = *mine;
  if (by.is_here) left_.erase(mine);
  found.range.refuse(found.index);
}

}  // namespace varve::cuda
