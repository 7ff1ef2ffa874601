// A grid of threads on the host: each thread has a stack of its own, and goes on until it waits for others.
#pragma once

#include <cuda_runtime_api.h>

#include <cstring>

// What the thread that runs here knows of itself.
extern constinit thread_local uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace varve::simulated {

struct Kernel;

// Every thread of the kernel, blocks in any order, threads too, as far as they do not wait.
void run(const Kernel& kernel);

// By a thread of a kernel: until all of its block, or of all blocks of its cluster, have come.
void meet_block();
void meet_cluster();
// Where another block of the cluster has what lies at `mine` in this one's shared memory.
const void* in_block(const void* mine, unsigned rank);
// By every thread: what came before this kernel is done.
void take_turn();
// Copies at once, or at the last moment that waiting allows; zeros for what is missing of the bytes.
void copy_later(void* to, const void* from, size_t some, size_t bytes);
void end_of_batch();
void wait_for_batches(size_t left);

// Gives bytes to the other lanes of the warp, and gets those of lane `from`.
void exchange(void* value, size_t bytes, int from);
int lane();
template <class T>
T exchanged(T value, auto&& source) {
  const int from = source(lane());
  exchange(&value, sizeof value, from < 0 || from > 31 ? lane() : from);
  return value;
}

}  // namespace varve::simulated
