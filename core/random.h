// Random numbers from counters: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011).
#pragma once

#include <array>
#include <cstdint>

#include <varve/core/tensor.h>

namespace varve {

// Four independent words from (key, counter): the same on every device, in any order, on any number of
// threads.
VARVE_HD constexpr std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  uint32_t c[4] = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0], p1 = uint64_t{0xCD9E8D57u} * c[2];
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0,
                   n2 = static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1;
    c[1] = static_cast<uint32_t>(p1), c[3] = static_cast<uint32_t>(p0), c[0] = n0, c[2] = n2;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {c[0], c[1], c[2], c[3]};
}

// A stream of random numbers. Its state is a tensor {seed, offset} (u64), so that plans and files carry it.
// Copies share the stream.
class VARVE_API Generator {
 public:
  explicit Generator(uint64_t seed = 0);  // on the current device, where it draws
  explicit Generator(Tensor state) : state_(std::move(state)) {}
  uint64_t seed() const;
  uint64_t offset() const;  // counters used so far
  void set(uint64_t seed, uint64_t offset = 0) const;
  const Tensor& state() const { return state_; }

 private:
  Tensor state_;
};

// This thread's generator for a device, with seed 0 until set; the numbers are the same on each.
VARVE_API Generator& default_generator(Device device = current_device());
// Starts this thread's generators anew.
VARVE_API void manual_seed(uint64_t seed);

}  // namespace varve
