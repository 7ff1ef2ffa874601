// Reads a container: first what the footer and the index say, all of it checked, then what is asked for.
#include <varve/io/reader.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <unordered_map>

#include <varve/core/record.h>
#include <varve/io/bytes.h>
#include <varve/io/loading.h>

namespace varve::io {
namespace {

template <class T>
T fixed(const Source& source, uint64_t offset) {
  T value;
  source.read_at(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

}  // namespace

Reader::Reader(SourcePtr source) : source_(std::move(source)) { open(); }
Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;

void Reader::fail(uint64_t offset, const std::string& found) const {
  throw FormatError(source_->name(), offset, found);
}

void Reader::open() {
  const uint64_t size = source_->size();
  const auto header = fixed<Header>(*source_, 0);
  if (header.magic != kMagic)
    fail(0, std::equal(header.magic.begin() + 1, header.magic.begin() + 4, kMagic.begin() + 1)
                ? "a .varve file changed by a transfer in text mode, or damaged; transfer it again as binary"
                : "not a .varve file");
  if (header.byte_order != kByteOrder) fail(12, "the byte order is not little-endian, or is damaged");
  if (header.major != kMajor)
    fail(8, fmt::format("version {}.{}; this program reads version {}", header.major, header.minor, kMajor));
  if (header.checksum != own_checksum(header)) fail(0, "the header does not match its checksum");
  if (size < sizeof(Header) + sizeof(Footer)) fail(size, "the file is cut short before its footer");
  const uint64_t at = size - sizeof(Footer);
  const auto footer = fixed<Footer>(*source_, at);
  if (footer.checksum != own_checksum(footer) || footer.header_checksum != header.checksum)
    fail(at, "the footer does not match its checksum; the file is cut short, extended or damaged");
  if (footer.file_bytes != size)
    fail(at, fmt::format("the file has {} bytes, its footer says {}", size, footer.file_bytes));
  minor_ = header.minor;
  index_offset_ = footer.index_offset;
  if (index_offset_ < sizeof header || index_offset_ > at || footer.index_bytes != at - index_offset_)
    fail(at, "the index does not lie between the header and the footer");
  Bytes bytes(footer.index_bytes);
  source_->read_at(index_offset_, bytes);
  if (checksum(bytes) != footer.index_checksum) fail(index_offset_, "the index does not match its checksum");
  try {
    index_ = std::make_unique<Index>(decode_index(bytes, header.critical, header.ignorable));
  } catch (const Error& e) {
    fail(index_offset_, fmt::format("the index is wrong: {}", e.what()));
  }
  // Only now: what is not known and needed has said its name.
  if (header.reserved != decltype(header.reserved){} || footer.reserved != decltype(footer.reserved){})
    fail(at, "reserved bytes are not zero");
  // Sizes first, so that no sum below can overflow.
  uint64_t left = index_offset_;
  for (const StorageEntry& s : index_->storages) {
    if (s.stored_bytes > left) fail(index_offset_, "the storages are larger than the file");
    left -= s.stored_bytes;
  }
  if (round_up(index_->lay_out(), kSmallAlignment) != index_offset_)
    fail(index_offset_, "the index does not begin where the storages end");
}

const std::string& Reader::kind() const { return index_->kind; }
const Meta& Reader::meta() const { return index_->meta; }
size_t Reader::tensor_count() const { return index_->tensors.size(); }
const std::vector<Section>& Reader::sections() const { return index_->sections; }
Fingerprint Reader::fingerprint() const { return fingerprint_of(*index_); }

std::deque<TensorInfo> Reader::tensors() const {
  std::deque<TensorInfo> out;
  for (const TensorEntry& t : index_->tensors) {
    const StorageEntry& s = index_->storages[t.storage];
    out.push_back(
        {t.name, t.element, t.shape, t.strides, t.storage, t.offset, s.codec, s.offset, s.stored_bytes});
  }
  return out;
}

// ---- whole ----

Container Reader::assemble(const std::vector<std::shared_ptr<Storage>>& storages) const {
  Container out{index_->kind, index_->meta, {}, {}, index_->sections};
  for (const TensorEntry& t : index_->tensors) {
    const auto& storage = storages[t.storage];
    const ElementInfo& info = *info_of(t.element);
    if (info.dtype) {
      out.tensors.add(t.name, tensor_of(t, storage));
    } else {
      const auto bytes = static_cast<size_t>(packed_bytes(numel(t.shape), info.bits));
      out.carried.push_back(
          {t.name, t.element, t.shape,
           std::make_shared<Storage>(cpu_backend(), storage->data() + t.offset, bytes, storage)});
    }
  }
  return out;
}

std::vector<size_t> Reader::all_storages() const {
  std::vector<size_t> all(index_->storages.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

Container Reader::read() const {
  const Loading loading(*source_, *index_);
  loading.check_padding(index_offset_);
  return assemble(loading.storages(all_storages()));
}

void Reader::verify() const {
  const Loading loading(*source_, *index_);
  loading.check_padding(index_offset_);
  loading.verify(all_storages());
}

Container Reader::map() const {
  const std::span<std::byte> memory = source_->memory();
  // Offsets are aligned within the file: in memory of the caller's that may not be enough.
  const bool in_place =
      !memory.empty() && reinterpret_cast<uintptr_t>(memory.data()) % alignof(std::max_align_t) == 0;
  std::vector<size_t> read, truths;  // what cannot be used where it lies, and what must be looked at first
  for (size_t i = 0; i < index_->storages.size(); ++i) {
    const StorageEntry& s = index_->storages[i];
    if (!in_place || s.stored_bytes != s.bytes)
      read.push_back(i);
    else if (s.truths)
      truths.push_back(i);
  }
  const Loading loading(*source_, *index_);
  loading.verify(truths);
  auto storages = loading.storages(read);
  for (size_t i = 0; i < storages.size(); ++i) {
    const StorageEntry& s = index_->storages[i];
    if (!storages[i])
      storages[i] = std::make_shared<Storage>(cpu_backend(), memory.data() + s.offset, s.bytes, source_);
  }
  return assemble(storages);
}

Container read(const std::string& path) { return Reader(path).read(); }

// ---- by name ----

const TensorEntry& Reader::entry(const std::string& name) const {
  const auto found = index_->by_name.find(name);
  if (found == index_->by_name.end())
    throw Error(fmt::format("load: {} has no tensor '{}'", source_->name(), name));
  const TensorEntry& entry = index_->tensors[found->second];
  computed_dtype(entry.element, name, source_->name());
  return entry;
}

NamedTensors Reader::read(std::span<const std::string> names) const {
  std::vector<const TensorEntry*> entries;
  std::vector<size_t> wanted;
  for (const std::string& name : names) {
    entries.push_back(&entry(name));
    wanted.push_back(entries.back()->storage);
  }
  const auto storages = Loading(*source_, *index_).storages(wanted);
  NamedTensors out;
  for (const TensorEntry* t : entries) out.add(t->name, tensor_of(*t, storages[t->storage]));
  return out;
}

}  // namespace varve::io
