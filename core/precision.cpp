#include <varve/core/precision.h>

#include <varve/core/error.h>
#include <varve/core/graph.h>

namespace varve {
namespace {
thread_local bool allowed_here = false;
}  // namespace

bool tf32_allowed() { return allowed_here; }

AllowTf32::AllowTf32(bool allowed) : previous_(allowed_here) {
  if (allowed != previous_ && Trace::current())
    throw Error(
        "AllowTf32: inside a function that is traced, whose replays would not see it; required is one that "
        "lives around the call of the compiled function");
  allowed_here = allowed;
}

AllowTf32::~AllowTf32() { allowed_here = previous_; }

}  // namespace varve
