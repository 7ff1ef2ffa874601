#include <varve/io/loading.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include <varve/core/cpu/threads.h>
#include <varve/core/error.h>

namespace varve::io {
namespace {

// All tasks; if one fails, they run again in order until the first does.
template <class Task>
void parallel_in_order(size_t count, const Task& task) {
  try {
    cpu::parallel(static_cast<int64_t>(count), [&](int64_t i) { task(static_cast<size_t>(i)); });
  } catch (const FormatError&) {
    for (size_t i = 0; i < count; ++i) task(i);
    throw;
  }
}

}  // namespace

bool are_truths(const View& view) {
  if (is_contiguous(view)) {
    const std::span bytes(view.as<const uint8_t>(), static_cast<size_t>(view.numel()));
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b <= 1; });
  }
  View row = view;
  row.shape.erase(0);
  row.strides.erase(0);
  for (int64_t i = 0; i < view.shape[0]; ++i)
    if (!are_truths(row.at(i * view.strides[0]))) return false;
  return true;
}

std::string Loading::users(size_t storage) const {
  std::string names;
  for (const TensorEntry& t : index_.tensors)
    if (t.storage == storage) names += fmt::format("{}'{}'", names.empty() ? "" : ", ", t.name);
  return names.empty() ? "no tensor" : names;
}

void Loading::damaged(const Chunk& chunk, const std::string& found) const {
  throw FormatError(
      source_.name(), chunk.offset,
      fmt::format("{} bytes {}; damaged is: {}", chunk.record->stored_bytes, found, users(chunk.storage)));
}

std::vector<Loading::Chunk> Loading::chunks(std::span<const size_t> wanted) const {
  std::vector<Chunk> out;
  for (const size_t i : std::set(wanted.begin(), wanted.end())) {
    const StorageEntry& s = index_.storages[i];
    uint64_t offset = s.offset;
    for (uint64_t at = 0; at < s.bytes; at += kChunkBytes) {
      const ChunkRecord& record = index_.chunks[s.first_chunk + at / kChunkBytes];
      out.push_back({i, at, std::min(kChunkBytes, s.bytes - at), offset, &record});
      offset += record.stored_bytes;
    }
  }
  return out;
}

// Fills `out`, which has the chunk's size, straight from the source where the chunk is not coded.
void Loading::load(const Chunk& chunk, std::span<std::byte> out) const {
  const ChunkRecord& record = *chunk.record;
  const bool coded = record.stored_bytes < out.size();
  Bytes stored(coded ? record.stored_bytes : 0);
  const std::span<std::byte> raw = coded ? std::span(stored) : out;
  source_.read_at(chunk.offset, raw);
  if (checksum(raw) != record.stored_checksum) damaged(chunk, "do not match their checksum");
  if (!coded) return;
  const StorageEntry& s = index_.storages[chunk.storage];
  try {
    decode_chunk(s.codec, s.width, stored, out);
  } catch (const Error& e) {
    damaged(chunk, e.what());
  }
  if (checksum(out) != record.checksum) damaged(chunk, "decode to bytes that do not match their checksum");
}

std::vector<std::shared_ptr<Storage>> Loading::storages(std::span<const size_t> wanted) const {
  std::vector<std::shared_ptr<Storage>> out(index_.storages.size());
  for (const size_t i : wanted)
    if (!out[i]) out[i] = std::make_shared<Storage>(cpu_backend(), index_.storages[i].bytes);
  const std::vector<Chunk> all = chunks(wanted);
  parallel_in_order(all.size(), [&](size_t i) {
    load(all[i], {out[all[i].storage]->data() + all[i].at, all[i].bytes});
  });
  return out;
}

void Loading::each_chunk(std::span<const size_t> wanted, const TakeChunk& take) const {
  const std::vector<Chunk> all = chunks(wanted);
  parallel_in_order(all.size(), [&](size_t i) {
    Bytes bytes(all[i].bytes);
    load(all[i], bytes);
    take(all[i].storage, all[i].at, bytes);
  });
}

void Loading::check_padding(uint64_t index_offset) const {
  uint64_t end = sizeof(Header);
  const auto check = [&](uint64_t next) {
    std::array<std::byte, kPage> buffer;  // place() leaves less than a page
    const auto padding = std::span(buffer).first(next - end);
    source_.read_at(end, padding);
    const auto found =
        std::find_if(padding.begin(), padding.end(), [](std::byte b) { return b != std::byte{}; });
    if (found != padding.end())
      throw FormatError(source_.name(), end + static_cast<uint64_t>(found - padding.begin()),
                        "padding is not zero; the file is damaged");
  };
  for (const StorageEntry& s : index_.storages) {
    check(s.offset);
    end = s.offset + s.stored_bytes;
  }
  check(index_offset);
}

}  // namespace varve::io
