// The blocks that a file would hold, copied where they are.
#include <varve/io/snapshot.h>

#include <cstring>

#include <varve/core/cpu/threads.h>
#include <varve/io/blocks.h>

namespace varve::io {

namespace {

// On its device, which copies it when it comes to that; in the host's memory where there is no room for it.
std::shared_ptr<Storage> copied_on_device(const Block& block) {
  Backend& on = block.owner->backend();
  const size_t bytes = block.bytes.size();
  std::shared_ptr<Storage> copy;
  try {
    copy = std::make_shared<Storage>(on, bytes);
  } catch (const MemoryError&) {
    copy = std::make_shared<Storage>(cpu_backend(), bytes);
    on.download(block.bytes.data(), copy->data(), bytes);
    return copy;
  }
  const auto as_bytes = [&](const std::byte* data) {
    return contiguous_view(const_cast<std::byte*>(data), {DType::u8, {static_cast<int64_t>(bytes)}});
  };
  on.copy(as_bytes(block.bytes.data()), as_bytes(copy->data()));
  return copy;
}

}  // namespace

NamedTensors snapshot(const NamedTensors& tensors) {
  const Blocks from = blocks_of(tensors);
  std::vector<std::shared_ptr<Storage>> copies;
  std::vector<size_t> here;  // whose bytes the host copies
  for (const Block& block : from.blocks) {
    const bool is_here = block.owner->backend().device() == kCpu;
    if (is_here) here.push_back(copies.size());
    copies.push_back(is_here ? std::make_shared<Storage>(cpu_backend(), block.bytes.size())
                             : copied_on_device(block));
  }
  cpu::parallel(static_cast<int64_t>(here.size()), [&](int64_t i) {
    const size_t k = here[static_cast<size_t>(i)];
    const auto bytes = from.blocks[k].bytes;
    if (!bytes.empty()) std::memcpy(copies[k]->data(), bytes.data(), bytes.size());
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
