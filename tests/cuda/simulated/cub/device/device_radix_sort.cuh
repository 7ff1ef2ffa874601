// The sort of CUB that varve asks for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/cuda/simulated/device.h"

namespace cub {

struct DeviceRadixSort {
  // As CUB: without memory, says how much it wants.
  template <class Key, class Value>
  static cudaError_t SortPairs(void* memory, size_t& bytes, const Key* keys, Key* sorted_keys,
                               const Value* values, Value* sorted, int64_t count, int first_bit, int end_bit,
                               cudaStream_t stream) {
    if (!memory) {
      bytes = 64;
      return cudaSuccess;
    }
    return varve::simulated::enqueue(stream, [=] {
      const Key mask = (end_bit < int{sizeof(Key) * 8} ? (Key{1} << end_bit) - 1 : ~Key{0}) >> first_bit;
      const auto key = [&](int64_t i) { return keys[i] >> first_bit & mask; };
      std::vector<int64_t> order(static_cast<size_t>(count));
      std::iota(order.begin(), order.end(), int64_t{0});
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return key(a) < key(b); });
      for (int64_t i = 0; i < count; ++i)
        sorted_keys[i] = keys[order[static_cast<size_t>(i)]],
        sorted[i] = values[order[static_cast<size_t>(i)]];
    });
  }
};

}  // namespace cub
