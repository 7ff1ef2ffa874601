#include <varve/cuda/dependencies.h>

#include <algorithm>

#include <varve/cuda/branches.h>

namespace varve::cuda {

Dependencies::Use Dependencies::use_of(const View& view, bool writes) {
  int64_t low = 0, high = 0;
  for (int i = 0; i < view.rank(); ++i) {
    const int64_t reach = (view.shape[i] - 1) * view.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const auto first = reinterpret_cast<uintptr_t>(view.at(low).data);
  if (view.numel() == 0) return {first, first, writes};
  return {first, first + static_cast<size_t>(high - low + 1) * size_of(view.dtype), writes};
}

bool Dependencies::conflict(const Call& a, const Call& b) {
  for (const Use& x : a.used)
    if (std::any_of(b.used.begin(), b.used.end(), [&](const Use& y) { return x.conflicts(y); })) return true;
  return false;
}

void Dependencies::add(Views reads, Views writes) {
  const size_t own = calls_.size();
  Call call{{}, std::vector<bool>(own), {}, own, {own}};
  for (const View& v : reads) call.used.push_back(use_of(v, false));
  for (const View& v : writes) call.used.push_back(use_of(v, true));
  for (size_t i = own; i-- > 0;) {
    if (call.follows[i] || !conflict(calls_[i], call)) continue;
    call.needed.push_back(i);
    call.follows[i] = true;
    for (size_t k = 0; k < i; ++k) call.follows[k] = call.follows[k] || calls_[i].follows[k];
  }
  calls_.push_back(std::move(call));
}

bool Dependencies::touches(size_t call, const View& view, bool reads_too) const {
  const Use asked = use_of(view, reads_too);
  const auto& used = calls_[call].used;
  return std::any_of(used.begin(), used.end(), [&](const Use& u) { return u.conflicts(asked); });
}

bool Dependencies::join(size_t unit, size_t call) {
  calls_[call].unit = unit;
  calls_[unit].members.push_back(call);
  if (!is_before_itself(unit)) return true;
  calls_[unit].members.pop_back();
  calls_[call].unit = call;
  return false;
}

bool Dependencies::is_before_itself(size_t unit) const {
  std::vector<size_t> found = needed(unit);
  std::vector<bool> seen(calls_.size());
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] == unit) return true;
    if (seen[found[i]]) continue;
    seen[found[i]] = true;
    const std::vector<size_t> more = needed(found[i]);
    found.insert(found.end(), more.begin(), more.end());
  }
  return false;
}

std::vector<size_t> Dependencies::needed(size_t unit) const {
  std::vector<size_t> units;
  for (const size_t member : calls_[unit].members)
    for (const size_t before : calls_[member].needed)
      if (const size_t other = calls_[before].unit;
          other != unit && std::find(units.begin(), units.end(), other) == units.end())
        units.push_back(other);
  return units;
}

size_t Dependencies::bytes(size_t unit) const {
  size_t bytes = 0;
  for (const size_t member : calls_[unit].members)
    for (const Use& use : calls_[member].used) bytes += use.end - use.first;
  return bytes;
}

std::vector<Dependencies::Range> Dependencies::written() const {
  std::vector<Range> all, joined;
  for (const Call& call : calls_)
    for (const Use& use : call.used)
      if (use.writes && use.first < use.end) all.push_back({use.first, use.end});
  std::sort(all.begin(), all.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  for (const Range& r : all) {
    if (joined.empty() || joined.back().end < r.first)
      joined.push_back(r);
    else
      joined.back().end = std::max(joined.back().end, r.end);
  }
  return joined;
}

std::vector<size_t> Dependencies::order() const {
  std::vector<std::vector<size_t>> needs(calls_.size());
  for (size_t c = 0; c < calls_.size(); ++c)
    if (!is_joined(c)) needs[c] = needed(c);
  std::vector<size_t> units = in_order(needs);
  std::erase_if(units, [this](size_t c) { return is_joined(c); });
  return units;
}

}  // namespace varve::cuda
