// Views whose ends do not reach into each other share nothing. The others are swept from low to high, row by
// row: a row that begins before all earlier ones have ended shares a byte with the one that ends last.
#include <varve/io/sharing.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <tuple>
#include <utility>

#include <varve/io/extent.h>

namespace varve::io {
namespace {

// The rows of a view, ascending: bytes that lie together.
class Rows {
 public:
  explicit Rows(const Value& v) : begin_(extent_of(v).low), bytes_(static_cast<int64_t>(size_of(v.dtype))) {
    if (numel(v.shape) == 0 || !is_nested(v.shape, v.strides)) {
      bytes_ = extent_of(v).bytes();
      return;
    }
    const int64_t size = bytes_;
    for (int i = 0; i < v.shape.rank(); ++i)
      if (v.shape[i] > 1) axes_.push_back({std::abs(v.strides[i]) * size, v.shape[i], 0});
    std::sort(axes_.begin(), axes_.end(), [](const Axis& a, const Axis& b) { return a.step < b.step; });
    auto gap = axes_.begin();
    for (; gap != axes_.end() && gap->step == bytes_; ++gap) bytes_ *= gap->size;
    axes_.erase(axes_.begin(), gap);
  }
  int64_t begin() const { return begin_; }
  int64_t end() const { return begin_ + bytes_; }
  // False after the last.
  bool next() {
    for (Axis& axis : axes_) {
      begin_ += axis.step;
      if (++axis.at < axis.size) return true;
      begin_ -= axis.step * std::exchange(axis.at, 0);
    }
    return false;
  }

 private:
  struct Axis {
    int64_t step, size, at;
  };
  int64_t begin_, bytes_;
  std::vector<Axis> axes_;  // that rows lie along, the smallest step first
};

// Classes of numbers, joined one by one; the smallest number of a class stands for it.
class Classes {
 public:
  explicit Classes(size_t count) : next_(count), left_(count) {
    std::iota(next_.begin(), next_.end(), size_t{0});
  }
  size_t left() const { return left_; }
  size_t of(size_t i) {
    while (next_[i] != i) i = next_[i] = next_[next_[i]];
    return i;
  }
  void join(size_t a, size_t b) {
    a = of(a), b = of(b);
    left_ -= a != b;
    next_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> next_;
  size_t left_;
};

Classes swept(std::span<const size_t> run, std::span<const ValuePtr> views) {
  std::vector<Rows> rows;
  for (const size_t i : run) rows.emplace_back(*views[i]);
  Classes classes(run.size());
  std::vector<size_t> heap;  // of those with rows left, the one that begins first on top
  ByView<size_t> first;      // one view is swept once, whatever its names
  for (size_t k = 0; k < run.size(); ++k) {
    const auto [same, is_new] = first.try_emplace(views[run[k]].get(), k);
    if (is_new)
      heap.push_back(k);
    else
      classes.join(same->second, k);
  }
  const auto later = [&](size_t a, size_t b) { return rows[a].begin() > rows[b].begin(); };
  std::make_heap(heap.begin(), heap.end(), later);
  size_t last = heap.front();  // to end: all rows that reach as far as the next one are joined to its view
  int64_t end = rows[last].begin();
  while (!heap.empty() && classes.left() > 1) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const size_t now = heap.back();
    if (rows[now].begin() < std::min(end, rows[now].end())) classes.join(last, now);
    if (rows[now].end() > end) last = now, end = rows[now].end();
    if (rows[now].next())
      std::push_heap(heap.begin(), heap.end(), later);
    else
      heap.pop_back();
  }
  return classes;
}

// Cuts a run of views that reach into each other into groups.
void add_groups(std::span<size_t> run, std::span<const ValuePtr> views,
                std::vector<std::span<const size_t>>& groups) {
  std::sort(run.begin(), run.end());
  if (run.size() == 1) return groups.emplace_back(run), void();
  Classes classes = swept(run, views);
  std::vector<std::pair<size_t, size_t>> by_class;
  for (size_t k = 0; k < run.size(); ++k) by_class.emplace_back(classes.of(k), run[k]);
  std::sort(by_class.begin(), by_class.end());
  for (size_t k = 0, begin = 0; k < run.size(); ++k) {
    run[k] = by_class[k].second;
    if (k + 1 < run.size() && by_class[k + 1].first == by_class[k].first) continue;
    groups.push_back(run.subspan(begin, k + 1 - begin));
    begin = k + 1;
  }
}

}  // namespace

std::vector<std::span<const size_t>> sharing(std::span<const ValuePtr> views, std::vector<size_t>& order) {
  std::vector<Extent> extents;
  extents.reserve(views.size());
  for (const ValuePtr& v : views) extents.push_back(extent_of(*v));
  order.resize(views.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t i) {
    return std::tuple(reinterpret_cast<uintptr_t>(views[i]->storage.get()), extents[i].low, i);
  };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::vector<std::span<const size_t>> groups;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    const auto& storage = views[order[begin]]->storage;
    int64_t high = extents[order[begin]].high;
    for (++end; end < order.size(); ++end) {
      const size_t i = order[end];
      if (views[i]->storage != storage || extents[i].low >= high) break;
      high = std::max(high, extents[i].high);
    }
    add_groups(std::span(order).subspan(begin, end - begin), views, groups);
  }
  std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.front() < b.front(); });
  return groups;
}

}  // namespace varve::io
