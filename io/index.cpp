// Encoding is the reverse of decoding, section by section; all checks are in the decoding.
#include <varve/io/index.h>

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

#include <varve/io/bytes.h>
#include <varve/io/extent.h>

namespace varve::io {
namespace {

constexpr std::array<std::string_view, 2> kFeatureNames{"zlib", "zstd"};
constexpr std::array<std::string_view, 5> kSections{"features", "meta", "storages", "chunks", "tensors"};

// ---- encoding ----

void add_section(ByteWriter& out, std::string_view name, bool critical, const Bytes& body) {
  out.text(name);
  out.number(static_cast<uint8_t>(critical));
  out.counted(body);
}

Bytes features_section(uint64_t critical) {
  ByteWriter out;
  for (size_t i = 0; i < kFeatureNames.size(); ++i)
    if ((critical >> i) & 1u) out.text(kFeatureNames[i]);
  return out.take();
}

Bytes meta_section(const Index& index) { return encode(MetaMap{{"kind", index.kind}, {"meta", index.meta}}); }

Bytes storages_section(const std::vector<StorageEntry>& storages) {
  ByteWriter out;
  for (const StorageEntry& s : storages) {
    out.number(s.bytes);
    out.number(static_cast<uint32_t>(s.codec));
    out.number(s.width);
  }
  return out.take();
}

// `storage` is the number that its storage has here.
void add_tensor(ByteWriter& out, const TensorEntry& t, uint64_t storage) {
  out.text(t.name);
  out.number(static_cast<uint8_t>(t.element));
  out.number(static_cast<uint8_t>(t.shape.rank()));
  out.number(storage);
  out.number(t.offset);
  for (const int64_t d : t.shape) out.number(d);
  for (const int64_t d : t.strides) out.number(d);
}

Bytes tensors_section(const Index& index) {
  ByteWriter out;
  for (const TensorEntry& t : index.tensors) add_tensor(out, t, t.storage);
  return out.take();
}

// ---- decoding ----

// The names of the bits that are set, from the lowest; those of the critical ones first.
void check_features(ByteReader in, uint64_t critical, uint64_t ignorable) {
  for (size_t bit = 0; bit < 64; ++bit) {
    if (!((critical >> bit) & 1u)) continue;
    const std::string_view name = in.text();
    if (!((kKnownFeatures >> bit) & 1u))
      throw Error(fmt::format(
          "the file needs the feature '{}', which this program does not know; update varve", name));
    if (name != kFeatureNames[bit]) throw Error(fmt::format("feature {} is named '{}'", bit, name));
  }
  for (int i = std::popcount(ignorable); i > 0; --i) in.text();
  if (in.left()) in.fail("bytes are left over");
}

std::vector<StorageEntry> storages_from(ByteReader in, uint64_t critical) {
  std::vector<StorageEntry> storages;
  while (in.left()) {
    StorageEntry s;
    s.bytes = in.number<uint64_t>();
    const auto codec = in.number<uint32_t>();
    s.width = in.number<uint32_t>();
    const size_t i = storages.size();
    if (codec >= kCodecs) throw Error(fmt::format("storage {}: codec {} is unknown", i, codec));
    s.codec = static_cast<Codec>(codec);
    if (s.codec != Codec::none && !((critical >> (codec - 1)) & 1u))
      throw Error(fmt::format("storage {}: the header does not announce codec {}", i, name_of(s.codec)));
    const bool right = s.codec == Codec::none ? s.width == 1 : s.width <= 8 && std::has_single_bit(s.width);
    if (!right) throw Error(fmt::format("storage {}: {} planes", i, s.width));
    storages.push_back(s);
  }
  return storages;
}

// Gives each storage its chunks.
std::vector<ChunkRecord> chunks_from(ByteReader in, std::vector<StorageEntry>& storages) {
  std::vector<ChunkRecord> chunks;
  chunks.reserve(in.left() / sizeof(ChunkRecord));
  for (size_t i = 0; i < storages.size(); ++i) {
    StorageEntry& s = storages[i];
    s.first_chunk = chunks.size();
    const uint64_t count = chunks_of(s.bytes);
    if (count > in.left() / sizeof(ChunkRecord))
      in.fail(fmt::format("storage {} of {} bytes has {} chunks, {} bytes are left", i, s.bytes, count,
                          in.left()));
    for (uint64_t c = 0; c < count; ++c) {
      const uint64_t n = std::min(kChunkBytes, s.bytes - c * kChunkBytes);
      const auto r = in.number<ChunkRecord>();
      const uint64_t fewest = s.codec == Codec::none ? n : fewest_stored(n);
      if (r.stored_bytes > n || r.stored_bytes < fewest)
        throw Error(fmt::format("storage {}, chunk {}: {} bytes stored for {}", i, c, r.stored_bytes, n));
      if (r.stored_bytes == n && r.stored_checksum != r.checksum)
        throw Error(fmt::format("storage {}, chunk {}: two checksums of the same bytes", i, c));
      s.stored_bytes += r.stored_bytes;
      chunks.push_back(r);
    }
  }
  if (in.left()) in.fail("bytes are left over");
  return chunks;
}

// A view must lie within its storage, each element in a place of its own.
void check_view(const TensorEntry& t, int64_t size, StorageEntry& s) {
  const auto limit = static_cast<int64_t>(std::min(s.bytes, uint64_t{1} << 62));
  const int64_t count = numel(t.shape);  // its sizes beside a zero are bounded too
  if (t.strides != plain_strides(t.shape, t.strides))
    throw Error("a stride that takes no step is not row-major");
  if (count == 0 && (s.used || s.bytes != 0 || t.offset != 0))
    throw Error("it has no elements, and no storage of no bytes to itself");
  const Extent extent = extent_of(t.offset, size, t.shape, t.strides);
  if (extent.low < 0 || extent.high > limit || t.offset % size != 0)
    throw Error(fmt::format("bytes {} to {} are not elements of its storage of {} bytes", extent.low,
                            extent.high, limit));
  if (!is_nested(t.shape, t.strides)) throw Error("elements lie in one place, by strides that do not nest");
  s.reached =
      s.used ? Extent{std::min(s.reached.low, extent.low), std::max(s.reached.high, extent.high)} : extent;
  s.largest = std::max(s.largest, size);
}

// A carried tensor has a storage to itself, row-major.
void check_carried(const TensorEntry& t, int bits, const StorageEntry& s) {
  const auto needed =
      static_cast<uint64_t>(packed_bytes(numel(t.shape), bits));  // throws if the sizes overflow
  if (t.strides != contiguous_strides(t.shape)) throw Error("its strides are not row-major");
  if (s.used || t.offset != 0 || needed != s.bytes)
    throw Error(fmt::format("{} bytes at {} are not all of a storage of its own, which has {}", needed,
                            t.offset, s.bytes));
}

void check_place(const TensorEntry& t, std::vector<StorageEntry>& storages) {
  if (t.storage >= storages.size()) throw Error(fmt::format("its storage {} does not exist", t.storage));
  StorageEntry& s = storages[t.storage];
  const ElementInfo& info = *info_of(t.element);
  if (s.carried) throw Error("its storage is another's alone");
  if (info.dtype)
    check_view(t, info.bits / 8, s);
  else
    check_carried(t, info.bits, s);
  s.used = true;
  s.truths = s.truths || info.dtype == DType::boolean;
  if (!info.dtype) s.spare_bits = spare_bits(numel(t.shape), info.bits);
  s.carried = !info.dtype;
}

TensorEntry tensor_from(ByteReader& in, std::vector<StorageEntry>& storages) {
  TensorEntry t;
  t.name = in.text();
  try {
    t.element = static_cast<ElementKind>(in.number<uint8_t>());
    if (!info_of(t.element))
      throw Error(fmt::format("element kind {} is unknown; update varve", static_cast<int>(t.element)));
    const auto rank = in.number<uint8_t>();
    t.storage = in.number<uint64_t>();
    t.offset = in.number<int64_t>();
    for (Dims* dims : {&t.shape, &t.strides})
      for (int i = 0; i < rank; ++i) dims->push_back(in.number<int64_t>());
    check_place(t, storages);
  } catch (const Error& e) {
    throw Error(fmt::format("tensor '{}': {}", t.name, e.what()));
  }
  return t;
}

void add_tensors(ByteReader in, Index& index) {
  while (in.left()) {
    index.tensors.push_back(tensor_from(in, index.storages));
    if (!index.by_name.emplace(index.tensors.back().name, index.by_name.size()).second)
      throw Error(fmt::format("tensor '{}' is there twice", index.tensors.back().name));
  }
  for (size_t i = 0; i < index.storages.size(); ++i) {
    const StorageEntry& s = index.storages[i];
    if (!s.used) throw Error(fmt::format("storage {} is no tensor's", i));
    if (!s.carried && (s.reached.low >= s.largest || static_cast<uint64_t>(s.reached.high) != s.bytes))
      throw Error(fmt::format("storage {}: its tensors reach from byte {} to {} of {}", i, s.reached.low,
                              s.reached.high, s.bytes));
  }
}

// Which sections a reader may skip, and what who writes the content again does with them.
enum class SectionKind : uint8_t { kept = 0, critical = 1, dropped = 2 };

// Exactly what meta_section makes.
void read_meta(std::span<const std::byte> body, Index& index) {
  const Meta meta = decode(body);
  const MetaMap& map = meta.as_map();
  if (map.size() != 2 || map[0].first != "kind" || map[1].first != "meta")
    throw Error("the section 'meta' is not a map of kind and meta");
  index.kind = map[0].second.as_string();
  index.meta = map[1].second;
}

}  // namespace

std::string Index::users(size_t storage) const {
  constexpr int kMost = 5;
  std::string names;
  int count = 0;
  for (const TensorEntry& t : tensors)
    if (t.storage == storage && ++count <= kMost)
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", t.name);
  return count <= kMost ? names : fmt::format("{} and {} others", names, count - kMost);
}

uint64_t Index::critical_features() const {
  uint64_t bits = 0;
  for (const StorageEntry& s : storages)
    if (s.codec != Codec::none) bits |= uint64_t{1} << (static_cast<int>(s.codec) - 1);
  return bits;
}

uint64_t Index::lay_out() {
  uint64_t end = sizeof(Header);
  for (StorageEntry& s : storages) {
    s.offset = place(end, s.bytes, s.codec != Codec::none);
    end = s.offset + s.stored_bytes;
  }
  return end;
}

std::string_view fault_in(const StorageEntry& s, uint64_t at, std::span<const std::byte> bytes) {
  if (s.truths && !are_truths(bytes)) return "hold a bool that is neither 0 nor 1";
  if (at + bytes.size() == s.bytes && !are_spare(bytes.back(), s.spare_bits))
    return "have bits set after their last element";
  return {};
}

Bytes encode_index(const Index& index) {
  std::set<std::string_view> names(kSections.begin(), kSections.end());
  for (const Section& s : index.sections)
    if (!names.insert(s.name).second)
      throw Error(fmt::format("the section '{}' is there twice; give each a name of its own", s.name));
  ByteWriter out;
  add_section(out, "features", true, features_section(index.critical_features()));
  add_section(out, "meta", true, meta_section(index));
  add_section(out, "storages", true, storages_section(index.storages));
  const auto chunks = std::as_bytes(std::span(index.chunks));
  add_section(out, "chunks", true, {chunks.begin(), chunks.end()});
  add_section(out, "tensors", true, tensors_section(index));
  for (const Section& s : index.sections) add_section(out, s.name, false, s.bytes);
  return out.take();
}

Index decode_index(std::span<const std::byte> bytes, uint64_t critical, uint64_t ignorable) {
  std::array<std::span<const std::byte>, kSections.size()> bodies;
  Index index;
  ByteReader in(bytes);
  size_t known = 0;  // they come in order
  std::set<std::string_view> names;
  while (in.left()) {
    const std::string_view name = in.text();
    const auto kind = in.number<SectionKind>();
    const auto body = in.counted();
    if (kind > SectionKind::dropped) in.fail(fmt::format("section '{}' is of no known kind", name));
    if (!names.insert(name).second) throw Error(fmt::format("the section '{}' is there twice", name));
    if (known < kSections.size() && name == kSections[known] && kind == SectionKind::critical) {
      bodies[known++] = body;
      if (known == 1) check_features(ByteReader(body), critical, ignorable);
    } else if (kind == SectionKind::critical || std::count(kSections.begin(), kSections.end(), name)) {
      throw Error(fmt::format(
          "the file needs its section '{}', which this program does not know here; update varve", name));
    } else if (kind == SectionKind::kept) {
      index.sections.push_back({std::string(name), {body.begin(), body.end()}});
    }
  }
  if (known < kSections.size()) throw Error(fmt::format("the section '{}' is missing", kSections[known]));
  read_meta(bodies[1], index);
  index.storages = storages_from(ByteReader(bodies[2]), critical);
  index.chunks = chunks_from(ByteReader(bodies[3]), index.storages);
  add_tensors(ByteReader(bodies[4]), index);
  if (index.critical_features() != critical) throw Error("the header announces a codec that no storage uses");
  return index;
}

Fingerprint fingerprint_of(const Index& index) {
  std::vector<size_t> order(index.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return index.tensors[a].name < index.tensors[b].name; });
  std::unordered_map<uint64_t, uint64_t> numbers;  // of storages, by their first tensor
  ByteWriter tensors, storages;
  for (const size_t i : order) {
    const TensorEntry& t = index.tensors[i];
    const StorageEntry& s = index.storages[t.storage];
    const auto [number, is_new] = numbers.try_emplace(t.storage, numbers.size());
    add_tensor(tensors, t, number->second);
    if (is_new) {
      storages.number(s.bytes);
      for (uint64_t c = 0; c < chunks_of(s.bytes); ++c)
        storages.number(index.chunks[s.first_chunk + c].checksum);
    }
  }
  ByteWriter all;
  all.counted(meta_section(index));
  all.counted(tensors.take());
  all.counted(storages.take());
  return fingerprint(all.take());
}

}  // namespace varve::io
