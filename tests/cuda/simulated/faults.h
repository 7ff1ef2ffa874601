// Calls of the simulated device that fail.
#pragma once

#include <cstdint>

namespace varve::simulated {

// Of the calls from now on, number `call` fails, counted from 0, for want of memory or for another reason.
void fail(uint64_t call, bool for_memory);
// No more; whether one did.
bool stop_failing();

}  // namespace varve::simulated
