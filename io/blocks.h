// Blocks: which bytes to store so that each is stored once. Tensors that share bytes in memory share a block;
// a block holds no byte that none of its tensors shows, but as a zero.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <varve/core/named_tensors.h>

namespace varve::io {

struct Block {
  std::shared_ptr<Storage> owner;
  std::span<const std::byte> bytes;  // in the memory of the owner's device
};
struct Placement {
  size_t block = 0;
  int64_t offset = 0;  // bytes from the block's start
  DType dtype = DType::f32;
  Shape shape;
  Strides strides;
};
struct Blocks {
  std::vector<Block> blocks;          // in the order of their first tensors
  std::vector<Placement> placements;  // of each tensor
};

// Dense tensors stay where they are, others are copied on their device. An Error names one that is undefined.
VARVE_API Blocks blocks_of(const NamedTensors& tensors);

}  // namespace varve::io
