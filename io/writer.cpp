// Writes a container: header, blocks, index, footer. All offsets and checksums are known before
// the first byte goes out.
#include <fmt/format.h>

#include <numeric>
#include <unordered_set>

#include <varve/core/graph.h>
#include <varve/io/blocks.h>
#include <varve/io/bytes.h>
#include <varve/io/checksum.h>
#include <varve/io/container.h>
#include <varve/io/durable.h>
#include <varve/io/layout.h>

namespace varve::io {
namespace {

constexpr std::array<std::byte, 4096> kZeros{};
using Pieces = std::vector<std::span<const std::byte>>;

Meta integers(const Dims& dims) {
  MetaList list;
  for (const int64_t d : dims) list.emplace_back(d);
  return list;
}

MetaList checksums(std::span<const std::byte> bytes) {
  MetaList list;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<size_t>(bytes.size(), kChunkBytes)))
    list.emplace_back(
        std::bit_cast<int64_t>(checksum(bytes.first(std::min<size_t>(bytes.size(), kChunkBytes)))));
  return list;
}

// Appends the blocks to `pieces` and says in the index where they lie; returns where they end.
uint64_t lay_out(const std::vector<Block>& blocks, Pieces& pieces, MetaList& storages) {
  uint64_t end = sizeof(Header);
  for (const Block& block : blocks) {
    const uint64_t size = block.bytes.size(), offset = place(end, size);
    pieces.push_back(std::span(kZeros).first(offset - end));
    pieces.push_back(block.bytes);
    storages.push_back(MetaMap{{"offset", static_cast<int64_t>(offset)},
                               {"bytes", static_cast<int64_t>(size)},
                               {"checksums", checksums(block.bytes)}});
    end = offset + size;
  }
  return end;
}

MetaList entries(const NamedTensors& tensors, const std::vector<Placement>& placements) {
  MetaList list;
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Placement& p = placements[i];
    if (!names.insert(tensors[i].name).second)
      throw Error(fmt::format("save: two tensors are named '{}'; rename one", tensors[i].name));
    list.push_back(MetaMap{{"name", tensors[i].name},
                           {"dtype", name_of(p.dtype)},
                           {"shape", integers(p.shape)},
                           {"strides", integers(p.strides)},
                           {"storage", static_cast<int64_t>(p.block)},
                           {"offset", p.offset}});
  }
  return list;
}

}  // namespace

void write(const std::string& path, const Container& container) {
  Trace::forbid_reading("save");
  const Blocks blocks = blocks_of(container.tensors);
  const Header header;
  Pieces pieces{std::as_bytes(std::span(&header, 1))};
  MetaList storages;
  Footer footer;
  footer.index_offset = lay_out(blocks.blocks, pieces, storages);
  const Bytes index = encode(MetaMap{{"kind", container.kind},
                                     {"meta", container.meta},
                                     {"storages", std::move(storages)},
                                     {"tensors", entries(container.tensors, blocks.placements)}});
  footer.index_bytes = index.size();
  footer.index_checksum = checksum(index);
  footer.file_bytes = footer.index_offset + index.size() + sizeof footer;
  footer.checksum = checksum(frame(header, footer));
  pieces.push_back(index);
  pieces.push_back(std::as_bytes(std::span(&footer, 1)));
  durable_write(path, pieces);
}

}  // namespace varve::io
