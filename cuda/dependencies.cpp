#include <varve/cuda/dependencies.h>

#include <algorithm>

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

bool Dependencies::touches(size_t call, const View& view, bool reads_too) const {
  const Use asked = use_of(view, reads_too);
  const auto& used = calls_[call].used;
  return std::any_of(used.begin(), used.end(), [&](const Use& u) { return u.conflicts(asked); });
}

std::vector<size_t> Dependencies::needed() {
  Call& last = calls_.back();
  const size_t earlier = calls_.size() - 1;
  last.follows.assign(earlier, false);
  std::vector<size_t> direct;
  for (size_t i = earlier; i-- > 0;) {
    if (last.follows[i] || !conflict(calls_[i], last)) continue;
    direct.push_back(i);
    last.follows[i] = true;
    for (size_t k = 0; k < i; ++k) last.follows[k] = last.follows[k] || calls_[i].follows[k];
  }
  return direct;
}

}  // namespace varve::cuda
