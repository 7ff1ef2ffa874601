// What the fuzz targets share. Each is a libFuzzer program; scripts/fuzz runs them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace varve::fuzz {

// A property that does not hold ends the program, and libFuzzer keeps the input.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", property);
  std::abort();
}

// libFuzzer's mutator for inputs that are an encoded Meta: mostly changes to the tree, at times to its bytes.
size_t mutate_encoded(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace varve::fuzz
