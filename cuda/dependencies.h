// Dependencies: which calls must come after which, by the memory that each reads and writes; and which are
// done as one.
#pragma once

#include <cstdint>
#include <vector>

#include <varve/core/export.h>
#include <varve/core/view.h>

namespace varve::cuda {

// Calls are counted from 0. A unit is calls that are done as one, named by the first of them; at first each
// is its own.
class VARVE_API Dependencies {
 public:
  struct Range {
    uintptr_t first, end;
  };
  void add(Views reads, Views writes);
  // Whether that call writes any of the view; or, for `reads_too`, uses it at all.
  bool touches(size_t call, const View& view, bool reads_too) const;

  // Makes a call part of a unit that is named by an earlier one: unless something would have to come after it
  // and before it.
  bool join(size_t unit, size_t call);
  bool is_joined(size_t call) const { return calls_[call].unit != call; }
  const std::vector<size_t>& members(size_t unit) const { return calls_[unit].members; }
  // The units that it must follow: the last of each chain of calls.
  std::vector<size_t> needed(size_t unit) const;
  // All units, each after what it must follow.
  std::vector<size_t> order() const;
  // Bytes that a unit reads and writes, gaps included.
  size_t bytes(size_t unit) const;
  // All that any call writes, gaps included.
  std::vector<Range> written() const;

 private:
  struct Use {  // of all bytes from the first of a view to its last
    uintptr_t first, end;
    bool writes;
    bool conflicts(const Use& o) const {
      return (writes || o.writes) && first < o.end && o.first < end && first < end && o.first < o.end;
    }
  };
  struct Call {
    std::vector<Use> used;
    std::vector<bool> follows;   // which of the earlier calls
    std::vector<size_t> needed;  // the last of each chain of those
    size_t unit;
    std::vector<size_t> members;  // of the unit that it names
  };
  static Use use_of(const View& view, bool writes);
  static bool conflict(const Call& a, const Call& b);
  bool is_before_itself(size_t unit) const;

  std::vector<Call> calls_;
};

}  // namespace varve::cuda
