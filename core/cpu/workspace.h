// Memory of a thread's own, for kernels that compute beside their results.
#pragma once

#include <cstddef>

namespace varve::cpu {

// Memory of the calling thread, at least `bytes`, 64-byte aligned, valid until its next call; grows and
// stays. For a kernel, and for a part of a plan whose kernels have workspaces of their own.
std::byte* workspace(size_t bytes);
std::byte* part_room(size_t bytes);

// Asks for as much of both as nearly all need, if it can be had: a thread that does it first allocates
// nothing later.
void reserve_workspaces() noexcept;

}  // namespace varve::cpu
