#include <varve/cuda/branches.h>

#include <algorithm>
#include <utility>

namespace varve::cuda {
namespace {

constexpr double kSlack = 3;  // microseconds that one may be held up: about what it costs to wait for several

class Branches {
 public:
  explicit Branches(std::vector<Work> all) : all_(std::move(all)), follows_(all_.size()), end_(all_.size()) {
    for (size_t w = 0; w < all_.size(); ++w) {
      follows_[w].resize(all_.size());
      for (const size_t n : all_[w].needs) follow(follows_[w], n);
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
                    [&](size_t n) { return n != last && (follows_[last][n] || is_waited_for(n, last)); });
    }
  }

  // In order, places made those of the new list.
  std::vector<Work> sorted() && {
    std::vector<size_t> order, missing(all_.size()), place(all_.size());
    std::vector<std::vector<size_t>> waiting(all_.size());
    for (size_t w = 0; w < all_.size(); ++w) {
      for (const size_t n : all_[w].needs) waiting[n].push_back(w);
      missing[w] = all_[w].needs.size();
      if (missing[w] == 0) order.push_back(w);
    }
    for (size_t i = 0; i < order.size(); ++i) {
      place[order[i]] = i;
      for (const size_t next : waiting[order[i]])
        if (--missing[next] == 0) order.push_back(next);
    }
    std::vector<Work> out;
    for (const size_t w : order) {
      for (size_t& n : all_[w].needs) n = place[n];
      out.push_back(std::move(all_[w]));
    }
    return out;
  }

 private:
  using Set = std::vector<bool>;
  // Adds n, and what it follows.
  void follow(Set& set, size_t n) const {
    for (size_t k = 0; k < set.size(); ++k) set[k] = set[k] || follows_[n][k];
    set[n] = true;
  }
  double start(size_t w) const {
    double latest = 0;
    for (const size_t n : all_[w].needs) latest = std::max(latest, end_[n]);
    return latest;
  }

  // Has `early` waited for by one that `last` comes after, if it can be.
  bool is_waited_for(size_t early, size_t last) {
    size_t waiter = last;
    while (all_[waiter].needs.size() == 1) waiter = all_[waiter].needs[0];
    if (all_[waiter].needs.empty() || waiter == early || follows_[early][waiter] ||
        end_[early] > start(waiter) + kSlack)
      return false;
    all_[waiter].needs.push_back(early);
    for (size_t w = 0; w < all_.size(); ++w)
      if (w == waiter || follows_[w][waiter]) follow(follows_[w], early);
    return true;
  }

  std::vector<Work> all_;
  std::vector<Set> follows_;
  std::vector<double> end_;
};

}  // namespace

std::vector<Work> branched(std::vector<Work> all) {
  Branches branches(std::move(all));
  branches.wait_early();
  return std::move(branches).sorted();
}

}  // namespace varve::cuda
