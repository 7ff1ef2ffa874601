#include <varve/data/prefetch.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <varve/core/cpu/background.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>

namespace varve::data {

Batch BatchMaker::make(const Position& position) {
  const NoGrad no_grad;
  const OnDevice on(inputs_.device());
  const Position epoch{position.seed, position.epoch};
  if (options_.shuffle && (order_.empty() || order_of_ != epoch)) order_epoch(epoch);
  const int64_t first = position.batch * options_.batch_size;
  const int64_t last = std::min(inputs_.size(0), first + options_.batch_size);
  const bool ordered = options_.shuffle && !on_host();
  Batch batch{rows(ordered ? ordered_inputs_ : inputs_, first, last),
              rows(ordered ? ordered_targets_ : targets_, first, last)};
  if (!options_.transform) return batch;
  batch.inputs = options_.transform(batch.inputs);
  if (const Tensor& t = batch.inputs; !t.defined() || t.rank() == 0 || t.size(0) != last - first)
    throw ShapeError(fmt::format("Loader: the transform made {} of {} examples; required is [{}, ...]",
                                 t.defined() ? to_string(t.spec()) : "nothing", last - first, last - first));
  // What a compiled function returned it writes again for the next batch.
  if (const Tensor& t = batch.inputs; t.value_ptr().use_count() > 1 || t.value().storage.use_count() > 1)
    batch.inputs = clone(t.detach());
  return batch;
}

void BatchMaker::order_epoch(const Position& epoch) {
  order_.clear();  // until all is there
  std::vector<int64_t> order = permutation(inputs_.size(0), epoch.seed, static_cast<uint64_t>(epoch.epoch));
  if (!on_host()) {
    const Tensor index = from_span(std::span<const int64_t>(order), {inputs_.size(0)});
    ordered_inputs_ = ordered_targets_ = {};  // never two epochs at a time
    ordered_inputs_ = index_select(inputs_, 0, index);
    ordered_targets_ = index_select(targets_, 0, index);
  }
  order_ = std::move(order), order_of_ = epoch;
}

// What the host can reach it copies itself.
Tensor BatchMaker::rows(const Tensor& of, int64_t first, int64_t last) const {
  if (!on_host()) return clone(slice(of, 0, first, last));
  Spec spec = of.spec();
  spec.shape[0] = last - first;
  const Tensor out(make_value(cpu_backend(), spec));
  const size_t bytes = spec.bytes() / static_cast<size_t>(last - first);
  const auto* from = static_cast<const std::byte*>(of.view().data);
  auto* to = static_cast<std::byte*>(out.view().data);
  for (int64_t i = first; i < last; ++i, to += bytes) {
    const int64_t row = options_.shuffle ? order_[static_cast<size_t>(i)] : i;
    std::copy_n(from + static_cast<size_t>(row) * bytes, bytes, to);
  }
  return out;
}

Prefetch::~Prefetch() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  asked_.notify_one();
  thread_.join();
}

Batch Prefetch::take(const Position& now) {
  std::unique_lock lock(mutex_);
  made_.wait(lock, [&] { return state_ != State::making; });
  // What the thread has not begun is made here: it may be waiting for a processor.
  const bool made = std::exchange(state_, State::idle) == State::made && position_ == now;
  Batch batch = std::exchange(batch_, {});
  const std::exception_ptr error = std::exchange(error_, nullptr);
  lock.unlock();
  if (!made) return maker_.make(now);
  if (error) std::rethrow_exception(error);
  return batch;
}

void Prefetch::ask(const Position& next) {
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  } catch (const std::exception&) {
    return;  // no more threads: batches are made as they are taken
  }
  {
    const std::lock_guard lock(mutex_);
    position_ = next, asker_ = asker();
    state_ = State::asked;
  }
  asked_.notify_one();
}

void Prefetch::work() {
  const cpu::Background background;
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [&] { return stop_ || state_ == State::asked; });
    if (stop_) return;
    state_ = State::making;
    const Position position = position_;
    const OnBehalf of(asker_);  // what a transform's recording finds is the asker's to hear of
    lock.unlock();
    Batch batch;
    std::exception_ptr error;
    try {
      batch = maker_.make(position);
    } catch (...) {  // whoever takes it hears of it
      error = std::current_exception();
    }
    lock.lock();
    batch_ = std::move(batch), error_ = std::move(error);
    state_ = State::made;
    made_.notify_one();
  }
}

}  // namespace varve::data
