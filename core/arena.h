// Arena: memory that is used again. Blocks are laid out side by side where both are in use at one time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include <varve/core/export.h>

namespace varve {

class VARVE_API Arena {
 public:
  // The block of that number is in use at that time, and at all between this and its other uses.
  void use(uint32_t block, size_t bytes, size_t time);
  // Gives each block its place, which up to `apart` bytes of them, the smallest first, share with none;
  // returns the bytes needed. Offsets are whole cache lines.
  size_t lay_out(size_t apart = 0);
  bool has(uint32_t block) const { return blocks_.count(block) != 0; }
  size_t offset(uint32_t block) const { return blocks_.at(block).offset; }
  size_t bytes(uint32_t block) const { return blocks_.at(block).bytes; }

 private:
  struct Block {
    size_t bytes, first, last;
    size_t offset = 0;
    bool overlaps(const Block& o) const { return first <= o.last && o.first <= last; }
  };
  std::map<uint32_t, Block> blocks_;
};

}  // namespace varve
