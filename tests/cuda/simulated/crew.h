// Threads of the host that stay: one for each rank of a cluster, whose shared memory is its own.
#pragma once

#include <functional>

namespace varve::simulated {

// job(rank) for each, side by side; that of rank 0 on this thread. By one thread at a time.
void in_ranks(unsigned count, const std::function<void(unsigned rank)>& job);

}  // namespace varve::simulated
