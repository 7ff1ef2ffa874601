// Writes a container front to back: header, storages, index, footer. Chunks are coded and summed by all
// threads, a window of them at a time, and leave in order; those on a device are brought while the window
// before is written.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include <varve/core/cpu/threads.h>
#include <varve/core/graph.h>
#include <varve/io/blocks.h>
#include <varve/io/bytes.h>
#include <varve/io/chunk_coder.h>
#include <varve/io/durable.h>
#include <varve/io/ferries.h>
#include <varve/io/index.h>
#include <varve/io/spares.h>

namespace varve::io {
namespace {

struct Content {
  std::vector<Block> blocks;  // what each storage holds
  Index index;
};

StorageEntry& add_storage(Content& content, const Block& block, Codec codec) {
  StorageEntry s;
  s.bytes = s.stored_bytes = block.bytes.size();
  s.codec = codec;
  content.blocks.push_back(block);
  return content.index.storages.emplace_back(s);
}

// What a tensor makes of its storage. Planes are those of the first one's numbers.
void use(StorageEntry& s, ElementKind element) {
  if (!s.used && s.codec != Codec::none) s.width = static_cast<uint32_t>(info_of(element)->plane_bytes);
  s.used = true;
  s.truths = s.truths || element == ElementKind::boolean;
}

void add_carried(Content& content, const Carried& c, Codec codec) {
  const ElementInfo* info = info_of(c.element);
  if (!info || info->dtype)
    throw Error(
        fmt::format("save: carried tensor '{}' is of a kind that tensors hold; add it to those", c.name));
  const auto required = static_cast<size_t>(packed_bytes(numel(c.shape), info->bits));
  if (!c.bytes || c.bytes->bytes() != required)
    throw Error(fmt::format("save: carried tensor '{}' of shape {} has {} bytes; required are {}", c.name,
                            to_string(c.shape), c.bytes ? c.bytes->bytes() : 0, required));
  StorageEntry& s = add_storage(content, {c.bytes, {c.bytes->data(), required}}, codec);
  use(s, c.element);
  s.spare_bits = spare_bits(numel(c.shape), info->bits);
  content.index.tensors.push_back(
      {c.name, c.element, c.shape, contiguous_strides(c.shape), content.blocks.size() - 1, 0});
}

Content content_of(const Container& container, Codec codec) {
  Trace::forbid_reading("save");
  Blocks blocks = blocks_of(container.tensors);
  Content content;
  content.index.kind = container.kind;
  content.index.meta = container.meta;
  content.index.sections = container.sections;
  content.index.storages.reserve(blocks.blocks.size() + container.carried.size());
  content.blocks.reserve(blocks.blocks.size() + container.carried.size());
  for (const Block& block : blocks.blocks) add_storage(content, block, codec);
  for (size_t i = 0; i < container.tensors.size(); ++i) {
    const Placement& p = blocks.placements[i];
    const ElementKind element = element_of(p.dtype);
    content.index.tensors.push_back(
        {container.tensors[i].name, element, p.shape, p.strides, p.block, p.offset});
    use(content.index.storages[p.block], element);
  }
  for (const Carried& c : container.carried) add_carried(content, c, codec);
  std::unordered_set<std::string_view> names(content.index.tensors.size());
  for (const TensorEntry& t : content.index.tensors)
    if (!names.insert(t.name).second)
      throw Error(fmt::format("save: two tensors are named '{}'; rename one", t.name));
  return content;
}

// Counts what goes out, and joins small pieces.
class Output {
 public:
  explicit Output(Sink& sink) : sink_(sink) {}
  uint64_t at() const { return at_; }
  void write(std::span<const std::byte> bytes) {
    at_ += bytes.size();
    if (bytes.size() + joined_.size() > kJoinedBytes) flush();
    if (bytes.size() > kJoinedBytes) return sink_.write(bytes);
    joined_.insert(joined_.end(), bytes.begin(), bytes.end());
  }
  void pad_to(uint64_t offset) {
    static constexpr std::array<std::byte, kPage> kZeros{};
    write(std::span(kZeros).first(offset - at_));
  }
  void flush() {
    if (!joined_.empty()) sink_.write(joined_);
    joined_.clear();
  }

 private:
  static constexpr size_t kJoinedBytes = size_t{1} << 17;
  Sink& sink_;
  uint64_t at_ = 0;
  Bytes joined_;
};

// One chunk on its way out.
struct Pending {
  size_t storage = 0;
  uint64_t at = 0;  // in its storage
  std::span<const std::byte> plain;
  Backend* away = nullptr;  // where it is on a device
  ChunkRecord record{};
};

std::vector<Pending> pending(const std::vector<Block>& blocks) {
  std::vector<Pending> out;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto bytes = blocks[i].bytes;
    Backend& on = blocks[i].owner->backend();
    for (size_t at = 0; at < bytes.size(); at += kChunkBytes)
      out.push_back({i, at, bytes.subspan(at, std::min<size_t>(kChunkBytes, bytes.size() - at)),
                     on.device() == kCpu ? nullptr : &on});
  }
  return out;
}

// How many chunks to prepare at once, in `tasks` of neighbours: as many as keep every thread busy, small ones
// by their number.
size_t window_of(std::span<const Pending> chunks, size_t tasks) {
  constexpr size_t kSmall = 64;
  size_t count = 0;
  for (uint64_t bytes = 0;
       count < std::min(chunks.size(), kSmall * tasks) && (count < tasks || bytes < tasks * kChunkBytes);
       ++count)
    bytes += chunks[count].plain.size();
  return count;
}

// Neighbours cut into about `most` tasks of equal bytes.
std::vector<std::span<Pending>> tasks_of(std::span<Pending> chunks, size_t most) {
  uint64_t total = 0, bytes = 0;
  for (const Pending& p : chunks) total += p.plain.size();
  std::vector<std::span<Pending>> tasks;
  for (size_t i = 0, begin = 0; i < chunks.size(); ++i) {
    bytes += chunks[i].plain.size();
    if (bytes < total / most && i + 1 < chunks.size()) continue;
    tasks.push_back(chunks.subspan(begin, i + 1 - begin));
    begin = i + 1, bytes = 0;
  }
  return tasks;
}

// Sums and codes a chunk; `coded` is left empty where it is stored as it is.
void prepare(Pending& p, const Index& index, Spares<ChunkCoder>& coders, Bytes& coded) {
  const StorageEntry& s = index.storages[p.storage];
  if (const auto fault = fault_in(s, p.at, p.plain); !fault.empty())
    throw Error(
        fmt::format("save: the bytes of {} {}; nothing else can be stored", index.users(p.storage), fault));
  p.record.checksum = p.record.stored_checksum = checksum(p.plain);
  p.record.stored_bytes = p.plain.size();
  coded.clear();
  if (s.codec == Codec::none) return;
  const auto coder = coders.borrow();
  const auto bytes = coder->encode(s.codec, s.width, p.plain);
  if (bytes.empty()) return;
  coded.assign(bytes.begin(), bytes.end());
  p.record.stored_bytes = coded.size();
  p.record.stored_checksum = checksum(coded);
}

// Chunks that are prepared together; of those on a device, a copy in the host's memory.
struct Window {
  std::span<Pending> chunks;
  Ferries ferries;

  // Takes the first of `left`, in `tasks`; what is on a device is there once the ferries have been waited
  // for.
  void begin(std::span<Pending>& left, size_t tasks) {
    chunks = left.first(window_of(left, tasks));
    left = left.subspan(chunks.size());
    ferries.restart();
    for (Pending& p : chunks)
      if (p.away) p.plain = ferries.download(*p.away, p.plain);
  }
};

void write_storages(Output& out, Content& content) {
  Index& index = content.index;
  index.chunks.clear();  // this may be another try
  for (StorageEntry& s : index.storages) s.stored_bytes = 0;
  std::vector<Pending> all = pending(content.blocks);
  Spares<ChunkCoder> coders;
  std::vector<Bytes> coded;  // of the chunks of a window
  // Of memory that devices reach a program has little.
  const bool any_away = std::any_of(all.begin(), all.end(), [](const Pending& p) { return p.away; });
  const size_t most = (any_away ? 1 : 4) * static_cast<size_t>(threads());
  std::array<Window, 2> windows;
  std::span<Pending> left(all);
  windows[0].begin(left, most);
  for (size_t turn = 0; !windows[turn].chunks.empty(); turn ^= 1) {
    windows[turn].ferries.wait();
    windows[turn ^ 1].begin(left, most);
    const std::span<Pending> now = windows[turn].chunks;
    coded.resize(std::max(coded.size(), now.size()));
    const std::vector<std::span<Pending>> tasks = tasks_of(now, most);
    cpu::parallel(static_cast<int64_t>(tasks.size()), [&](int64_t task) {
      for (Pending& p : tasks[static_cast<size_t>(task)])
        prepare(p, index, coders, coded[static_cast<size_t>(&p - now.data())]);
    });
    for (size_t i = 0; i < now.size(); ++i) {
      const Pending& p = now[i];
      StorageEntry& s = index.storages[p.storage];
      if (p.at == 0) out.pad_to(place(out.at(), s.bytes, s.codec != Codec::none));
      out.write(coded[i].empty() ? p.plain : coded[i]);
      index.chunks.push_back(p.record);
      s.stored_bytes += p.record.stored_bytes;
    }
  }
}

// Of the whole file; with codecs as many as it can be.
uint64_t bytes_of(Content& content) {
  uint64_t index = encode_index(content.index).size();
  for (const StorageEntry& s : content.index.storages) index += chunks_of(s.bytes) * sizeof(ChunkRecord);
  return round_up(content.index.lay_out(), kSmallAlignment) + index + sizeof(Footer);
}

void write_content(Sink& sink, Content& content) {
  Output out(sink);
  Header header;
  header.critical = content.index.critical_features();
  header.checksum = own_checksum(header);
  out.write(std::as_bytes(std::span(&header, 1)));
  write_storages(out, content);
  out.pad_to(round_up(out.at(), kSmallAlignment));
  Footer footer;
  footer.index_offset = out.at();
  const Bytes index = encode_index(content.index);
  footer.index_bytes = index.size();
  footer.index_checksum = checksum(index);
  footer.file_bytes = out.at() + index.size() + sizeof footer;
  footer.header_checksum = header.checksum;
  footer.checksum = own_checksum(footer);
  out.write(index);
  out.write(std::as_bytes(std::span(&footer, 1)));
  out.flush();
}

}  // namespace

void write(Sink& sink, const Container& container, const WriteOptions& options) {
  Content content = content_of(container, options.codec);
  write_content(sink, content);
}

void write(const std::string& path, const Container& container, const WriteOptions& options) {
  write(path, container, options, system_files());
}

void write(const std::string& path, const Container& container, const WriteOptions& options,
           FileSystem& files) {
  Content content = content_of(container, options.codec);
  const uint64_t bytes = bytes_of(content);
  const bool known = content.index.critical_features() == 0;
  durable_write(path, {known ? bytes : 0, &files, bytes}, [&](Sink& sink) { write_content(sink, content); });
}

}  // namespace varve::io
