// DenseCopies: inputs copied without gaps into a call's scratch, one after the other.
#pragma once

#include <varve/core/backend.h>

namespace varve {

class DenseCopies {
 public:
  // What one takes of the scratch: whole cache lines.
  static size_t bytes(const View& v) { return (v.spec().bytes() + 63) / 64 * 64; }

  DenseCopies(Backend& on, const View& scratch) : on_(on), free_(scratch.as<std::byte>()) {}
  View of(const View& v) {
    const View copy = contiguous_view(free_, v.spec());
    free_ += bytes(v);
    on_.copy(v, copy);
    return copy;
  }

 private:
  Backend& on_;
  std::byte* free_;
};

}  // namespace varve
