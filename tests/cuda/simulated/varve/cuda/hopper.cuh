// cuda/hopper.cuh on the simulated GPU.
#pragma once

#include "tests/cuda/simulated/grid.h"

namespace varve::cuda {

inline void take_turn() { simulated::take_turn(); }
inline void meet_cluster() { simulated::meet_cluster(); }
inline float in_block(const float* mine, unsigned rank) {
  return *static_cast<const float*>(simulated::in_block(mine, rank));
}
template <int kEach>
void copy_later(float* to, const float* from, int some) {
  simulated::copy_later(to, from, static_cast<size_t>(some) * sizeof(float), kEach * sizeof(float));
}
inline void end_of_batch() { simulated::end_of_batch(); }
template <int kLeft>
void wait_for_batches() {
  simulated::wait_for_batches(kLeft);
}

}  // namespace varve::cuda
