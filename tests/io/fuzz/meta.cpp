// Any bytes are a value whose bytes are exactly these, or an Error.
#include <algorithm>
#include <span>

#include <varve/core/error.h>
#include <varve/io/meta.h>

#include "tests/io/fuzz/fuzz.h"

using namespace varve;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::mutate_encoded(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  io::Meta meta;
  try {
    meta = io::decode(bytes);
  } catch (const Error&) {
    return 0;
  }
  const io::Bytes again = io::encode(meta);
  fuzz::require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()),
                "encode gives the bytes decoded");
  fuzz::require(io::decode(again) == meta, "what is encoded decodes to an equal value");
  to_string(meta);
  return 0;
}
