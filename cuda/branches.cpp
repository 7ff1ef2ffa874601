#include <varve/cuda/branches.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace varve::cuda {
namespace {

constexpr double kSlack = 3;  // microseconds that one may be held up: about what it costs to wait for several

// Of work, by place: whole words at a time, for a function over many steps has thousands.
class Set {
 public:
  explicit Set(size_t count) : words_((count + 63) / 64) {}
  bool has(size_t w) const { return words_[w / 64] >> w % 64 & 1u; }
  void add(size_t w) { words_[w / 64] |= uint64_t{1} << w % 64; }
  void add(const Set& o) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= o.words_[i];
  }

 private:
  std::vector<uint64_t> words_;
};

class Branches {
 public:
  explicit Branches(std::vector<Work> all)
      : all_(std::move(all)), follows_(all_.size(), Set(all_.size())), end_(all_.size()) {
    for (size_t w = 0; w < all_.size(); ++w) {
      for (const size_t n : all_[w].needs) follow(w, n);
      end_[w] = start(w) + all_[w].time;
    }
  }

  void wait_early() {
    for (size_t w = 0; w < all_.size(); ++w) {
      std::vector<size_t>& needs = all_[w].needs;
      if (needs.size() < 2) continue;
      const size_t last = *std::max_element(needs.begin(), needs.end(),
                                            [this](size_t a, size_t b) { return end_[a] < end_[b]; });
      std::erase_if(needs,
                    [&](size_t n) { return n != last && (follows_[last].has(n) || is_waited_for(n, last)); });
    }
  }

  // In order, places made those of the new list.
  std::vector<Work> sorted() && {
    std::vector<std::vector<size_t>> needs;
    for (const Work& w : all_) needs.push_back(w.needs);
    const std::vector<size_t> order = in_order(needs);
    std::vector<size_t> place(order.size());
    for (size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
    std::vector<Work> out;
    for (const size_t w : order) {
      for (size_t& n : all_[w].needs) n = place[n];
      out.push_back(std::move(all_[w]));
    }
    return out;
  }

 private:
  void follow(size_t w, size_t n) { follows_[w].add(follows_[n]), follows_[w].add(n); }
  double start(size_t w) const {
    double latest = 0;
    for (const size_t n : all_[w].needs) latest = std::max(latest, end_[n]);
    return latest;
  }

  // Has `early` waited for by one that `last` comes after, if it can be.
  bool is_waited_for(size_t early, size_t last) {
    size_t waiter = last;
    while (all_[waiter].needs.size() == 1) waiter = all_[waiter].needs[0];
    if (all_[waiter].needs.empty() || waiter == early || follows_[early].has(waiter) ||
        end_[early] > start(waiter) + kSlack)
      return false;
    all_[waiter].needs.push_back(early);
    for (size_t w = 0; w < all_.size(); ++w)
      if (w == waiter || follows_[w].has(waiter)) follow(w, early);
    return true;
  }

  std::vector<Work> all_;
  std::vector<Set> follows_;
  std::vector<double> end_;
};

}  // namespace

std::vector<size_t> in_order(const std::vector<std::vector<size_t>>& needs) {
  std::vector<size_t> order, missing;
  std::vector<std::vector<size_t>> waiting(needs.size());
  for (size_t i = 0; i < needs.size(); ++i) {
    for (const size_t n : needs[i]) waiting[n].push_back(i);
    missing.push_back(needs[i].size());
    if (needs[i].empty()) order.push_back(i);
  }
  for (size_t i = 0; i < order.size(); ++i)
    for (const size_t next : waiting[order[i]])
      if (--missing[next] == 0) order.push_back(next);
  return order;
}

std::vector<Work> branched(std::vector<Work> all) {
  Branches branches(std::move(all));
  branches.wait_early();
  return std::move(branches).sorted();
}

}  // namespace varve::cuda
