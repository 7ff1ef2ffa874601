// Branches: the order of work that is done side by side, so that little of it waits for several others: a
// kernel that follows one alone takes its place while that one still runs, one that follows several cannot.
#pragma once

#include <cstddef>
#include <vector>

#include <varve/core/export.h>

namespace varve::cuda {

// All, by place, each after what it needs; as they come where that leaves it open.
VARVE_API std::vector<size_t> in_order(const std::vector<std::vector<size_t>>& needs);

struct Work {
  size_t name;
  double time;                // that it takes, about: microseconds
  std::vector<size_t> needs;  // what it must follow: places in the list, all before its own
};

// The same work, in an order in which each comes after what it needs. Whoever needs several waits for the
// last of them alone where the others can be waited for before: by what that one follows and has to wait for
// several anyway, unless that would be held up.
VARVE_API std::vector<Work> branched(std::vector<Work> all);

}  // namespace varve::cuda
