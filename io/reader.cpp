// Reads a container and trusts none of it: the frame first, then the index, then each block into memory of
// its own. Memory is asked for only for bytes that the file has.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include <varve/io/bytes.h>
#include <varve/io/checksum.h>
#include <varve/io/container.h>
#include <varve/io/file.h>
#include <varve/io/layout.h>

namespace varve::io {
namespace {

struct StorageEntry {
  uint64_t offset = 0, bytes = 0;
  const MetaList* checksums = nullptr;
  std::string users;  // the tensors in it, for messages
};
struct TensorEntry {
  std::string name;
  size_t storage = 0;
  Value value;  // its storage comes last
};

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path) {}

  Container read() {
    read_frame();
    const Meta index = read_index();
    Container out;
    std::vector<StorageEntry> storages;
    std::vector<TensorEntry> tensors;
    try {
      out.kind = index.at("kind").as_string();
      out.meta = index.at("meta");
      storages = storages_of(index.at("storages").as_list());
      tensors = tensors_of(index.at("tensors").as_list(), storages);
    } catch (const FormatError&) {
      throw;
    } catch (const Error& e) {  // a value of the wrong type, an unknown dtype, too many axes
      fail(footer_.index_offset, fmt::format("the index is wrong: {}", e.what()));
    }
    load(storages, tensors, out.tensors);
    return out;
  }

 private:
  [[noreturn]] void fail(uint64_t offset, const std::string& found) const {
    throw FormatError(file_.path(), offset, found);
  }

  void read_frame() {
    const uint64_t size = file_.size();
    Header header;
    file_.read_at(0, std::as_writable_bytes(std::span(&header, 1)));
    check_magic(header.magic);
    if (header.byte_order != kByteOrder) fail(12, "the byte order is not little-endian, or is damaged");
    if (header.major != kMajor)
      fail(8,
           fmt::format("version {}.{}; this program reads version {}", header.major, header.minor, kMajor));
    if (size < sizeof header + sizeof footer_) fail(size, "the file is cut short before its footer");
    const uint64_t at = size - sizeof footer_;
    file_.read_at(at, std::as_writable_bytes(std::span(&footer_, 1)));
    if (footer_.checksum != checksum(frame(header, footer_)))
      fail(at, "header and footer do not match their checksum; the file is cut short, extended or damaged");
    if (footer_.file_bytes != size)
      fail(at, fmt::format("the file has {} bytes, its footer says {}", size, footer_.file_bytes));
    if (footer_.index_offset < sizeof header || footer_.index_offset > at ||
        footer_.index_bytes != at - footer_.index_offset)
      fail(at, "the index does not lie between the header and the footer");
  }

  void check_magic(const std::array<uint8_t, 8>& magic) const {
    if (magic == kMagic) return;
    if (std::equal(magic.begin() + 1, magic.begin() + 4, kMagic.begin() + 1))
      fail(0, "a .varve file changed by a transfer in text mode, or damaged; transfer it again as binary");
    fail(0, "not a .varve file");
  }

  Meta read_index() const {
    Bytes bytes(footer_.index_bytes);
    file_.read_at(footer_.index_offset, bytes);
    if (checksum(bytes) != footer_.index_checksum) fail(footer_.index_offset, "the index is damaged");
    try {
      return decode(bytes);
    } catch (const Error& e) {
      fail(footer_.index_offset, fmt::format("the index is wrong: {}", e.what()));
    }
  }

  // Blocks follow each other at exactly the places their sizes give, up to the index.
  std::vector<StorageEntry> storages_of(const MetaList& list) const {
    std::vector<StorageEntry> out;
    uint64_t end = sizeof(Header);
    for (const Meta& entry : list) {
      StorageEntry s;
      s.offset = static_cast<uint64_t>(entry.at("offset").as_int());
      s.bytes = static_cast<uint64_t>(entry.at("bytes").as_int());
      s.checksums = &entry.at("checksums").as_list();
      const auto wrong = [&](std::string_view what) {
        fail(footer_.index_offset,
             fmt::format("storage {} at {} of {} bytes {}", out.size(), s.offset, s.bytes, what));
      };
      if (s.offset != place(end, s.bytes)) wrong("does not follow the one before it");
      if (s.offset > footer_.index_offset || s.bytes > footer_.index_offset - s.offset)
        wrong("reaches beyond the data");
      if (s.checksums->size() != chunks(s.bytes)) wrong(fmt::format("has {} checksums", s.checksums->size()));
      end = s.offset + s.bytes;
      out.push_back(std::move(s));
    }
    if (end != footer_.index_offset) fail(end, "bytes between the data and the index belong to nothing");
    return out;
  }

  static Dims dims_of(const MetaList& list) {
    Dims dims;
    for (const Meta& d : list) dims.push_back(d.as_int());
    return dims;
  }

  std::vector<TensorEntry> tensors_of(const MetaList& list, std::vector<StorageEntry>& storages) const {
    std::vector<TensorEntry> out;
    std::unordered_set<std::string_view> names;
    for (const Meta& entry : list) {
      const std::string& name = entry.at("name").as_string();
      if (!names.insert(name).second)
        fail(footer_.index_offset, fmt::format("tensor '{}' is there twice", name));
      try {
        out.push_back(tensor_of(entry, name, storages));
      } catch (const FormatError&) {
        throw;
      } catch (const Error& e) {
        fail(footer_.index_offset, fmt::format("tensor '{}': {}", name, e.what()));
      }
      std::string& users = storages[out.back().storage].users;
      users += fmt::format("{}'{}'", users.empty() ? "" : ", ", name);
    }
    return out;
  }

  TensorEntry tensor_of(const Meta& entry, const std::string& name,
                        const std::vector<StorageEntry>& storages) const {
    const auto storage = static_cast<uint64_t>(entry.at("storage").as_int());
    if (storage >= storages.size()) throw Error(fmt::format("its storage {} does not exist", storage));
    const Value v{nullptr, entry.at("offset").as_int(), dtype_named(entry.at("dtype").as_string()),
                  dims_of(entry.at("shape").as_list()), dims_of(entry.at("strides").as_list())};
    if (v.strides.rank() != v.shape.rank()) throw Error("shape and strides differ in their number of axes");
    const auto size = static_cast<int64_t>(size_of(v.dtype));
    const auto limit = static_cast<int64_t>(storages[storage].bytes);
    const Extent extent = extent_of(v.offset, v.dtype, v.shape, v.strides);
    if (extent.low < 0 || extent.high > limit || v.offset % size != 0)
      throw Error(fmt::format("bytes {} to {} are not elements of its storage of {} bytes", extent.low,
                              extent.high, limit));
    if (checked_multiply(numel(v.shape), size) > limit)
      throw Error(fmt::format("{} elements are more than its storage holds", numel(v.shape)));
    // Sizes beside a zero are bounded too: other code multiplies them.
    int64_t product = size;
    for (const int64_t d : v.shape) product = checked_multiply(product, std::max<int64_t>(d, 1));
    if (numel(v.shape) == 0 && v.strides != contiguous_strides(v.shape))
      throw Error("strides of a tensor without elements");
    return {name, storage, v};
  }

  void load(const std::vector<StorageEntry>& entries, std::vector<TensorEntry>& tensors, NamedTensors& out) {
    std::vector<std::shared_ptr<Storage>> storages;
    uint64_t end = sizeof(Header);
    for (const StorageEntry& s : entries) {
      check_padding(end, s.offset);
      storages.push_back(load(s));
      end = s.offset + s.bytes;
    }
    for (TensorEntry& t : tensors) {
      t.value.storage = storages[t.storage];
      if (t.value.dtype == DType::boolean && numel(t.value.shape) > 0 && !are_truths(t.value.view(), 0))
        fail(entries[t.storage].offset, fmt::format("tensor '{}': a bool is neither 0 nor 1", t.name));
      out.add(std::move(t.name), Tensor(std::make_shared<const Value>(std::move(t.value))));
    }
  }

  void check_padding(uint64_t begin, uint64_t end) const {
    std::array<std::byte, 4096> buffer;  // place() leaves less than a page
    const auto padding = std::span(buffer).first(end - begin);
    file_.read_at(begin, padding);
    const auto found =
        std::find_if(padding.begin(), padding.end(), [](std::byte b) { return b != std::byte{}; });
    if (found != padding.end())
      fail(begin + static_cast<uint64_t>(found - padding.begin()),
           "padding is not zero; the file is damaged");
  }

  std::shared_ptr<Storage> load(const StorageEntry& entry) const {
    auto storage = std::make_shared<Storage>(cpu_backend(), entry.bytes);
    for (uint64_t at = 0; at < entry.bytes; at += kChunkBytes) {
      const std::span chunk(storage->data() + at, std::min(kChunkBytes, entry.bytes - at));
      file_.read_at(entry.offset + at, chunk);
      if (std::bit_cast<int64_t>(checksum(chunk)) != (*entry.checksums)[at / kChunkBytes].as_int())
        fail(entry.offset + at, fmt::format("{} bytes do not match their checksum; damaged is: {}",
                                            chunk.size(), entry.users.empty() ? "no tensor" : entry.users));
    }
    return storage;
  }

  // A bool of another value would be undefined behaviour in whoever reads it.
  static bool are_truths(const View& view, int axis) {
    if (axis == view.rank()) return *view.as<uint8_t>() <= 1;
    for (int64_t i = 0; i < view.shape[axis]; ++i)
      if (!are_truths(view.at(i * view.strides[axis]), axis + 1)) return false;
    return true;
  }

  File file_;
  Footer footer_;
};

}  // namespace

Container read(const std::string& path) { return Reader(path).read(); }

}  // namespace varve::io
