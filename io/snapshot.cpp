// The blocks that a file would hold, copied.
#include <varve/io/snapshot.h>

#include <cstring>

#include <varve/core/cpu/threads.h>
#include <varve/io/blocks.h>

namespace varve::io {

NamedTensors snapshot(const NamedTensors& tensors) {
  const Blocks from = blocks_of(tensors);
  std::vector<std::shared_ptr<Storage>> copies;
  for (const Block& block : from.blocks)
    copies.push_back(std::make_shared<Storage>(cpu_backend(), block.bytes.size()));
  cpu::parallel(static_cast<int64_t>(copies.size()), [&](int64_t i) {
    const auto bytes = from.blocks[static_cast<size_t>(i)].bytes;
    if (!bytes.empty()) std::memcpy(copies[static_cast<size_t>(i)]->data(), bytes.data(), bytes.size());
  });
  NamedTensors out;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Placement& p = from.placements[i];
    out.add(
        tensors[i].name,
        Tensor(std::make_shared<const Value>(Value{copies[p.block], p.offset, p.dtype, p.shape, p.strides})));
  }
  return out;
}

}  // namespace varve::io
