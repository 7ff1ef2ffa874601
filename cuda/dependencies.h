// Dependencies: which earlier calls a call must come after, by the memory that each reads and writes.
#pragma once

#include <cstdint>
#include <vector>

#include <varve/core/export.h>
#include <varve/core/view.h>

namespace varve::cuda {

class VARVE_API Dependencies {
 public:
  // The next call, counted from 0, uses what is told from here on.
  void begin() { calls_.emplace_back(); }
  void reads(const View& view) { calls_.back().used.push_back(use_of(view, false)); }
  void writes(const View& view) { calls_.back().used.push_back(use_of(view, true)); }
  // It did nothing.
  void forget() { calls_.back().used.clear(); }
  // Whether that call writes any of the view; or, for `reads_too`, uses it at all.
  bool touches(size_t call, const View& view, bool reads_too) const;
  // The calls that it must follow: the last of each chain of them.
  std::vector<size_t> needed();

 private:
  struct Use {  // of all bytes from the first of a view to its last
    uintptr_t first, end;
    bool writes;
    bool conflicts(const Use& o) const { return (writes || o.writes) && first < o.end && o.first < end; }
  };
  struct Call {
    std::vector<Use> used;
    std::vector<bool> follows;  // which of the earlier calls
  };
  static Use use_of(const View& view, bool writes);
  static bool conflict(const Call& a, const Call& b);

  std::vector<Call> calls_;
};

}  // namespace varve::cuda
