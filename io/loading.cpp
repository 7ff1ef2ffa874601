#include <varve/io/loading.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <set>

#include <varve/core/cpu/threads.h>
#include <varve/core/error.h>

namespace varve::io {
namespace {

// All tasks; once one fails the rest is left, and where it found damage they run again in order until the
// first does.
template <class Task>
void parallel_in_order(size_t count, const Task& task) {
  std::atomic<bool> failed = false;
  try {
    cpu::parallel(static_cast<int64_t>(count), [&](int64_t i) {
      if (failed) return;
      try {
        task(static_cast<size_t>(i));
      } catch (...) {
        failed = true;
        throw;
      }
    });
  } catch (const FormatError&) {
    for (size_t i = 0; i < count; ++i) task(i);
    throw;
  }
}

}  // namespace

Tensor tensor_of(const TensorEntry& t, const std::shared_ptr<Storage>& storage) {
  return Tensor(std::make_shared<const Value>(
      Value{storage, t.offset, *info_of(t.element)->dtype, t.shape, t.strides}));
}

void Loading::damaged(const Chunk& chunk, const std::string& found) const {
  throw FormatError(source_.name(), chunk.offset,
                    fmt::format("{} bytes {}; damaged is: {}", chunk.record->stored_bytes, found,
                                index_.users(chunk.storage)));
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

void Loading::check(const Chunk& chunk, std::span<const std::byte> stored) const {
  if (checksum(stored) != chunk.record->stored_checksum) damaged(chunk, "do not match their checksum");
}

void Loading::decode(const Chunk& chunk, std::span<const std::byte> stored, Room& room,
                     std::span<std::byte> out) const {
  const StorageEntry& s = index_.storages[chunk.storage];
  try {
    room.coder.decode(s.codec, s.width, stored, out);
  } catch (const Error& e) {
    damaged(chunk, e.what());
  }
  if (checksum(out) != chunk.record->checksum)
    damaged(chunk, "decode to bytes that do not match their checksum");
}

// A bool that is neither would be undefined behaviour in whoever reads it.
void Loading::finish(const Chunk& chunk, Room& room, std::span<const std::byte> out, const Done& done) const {
  if (const auto fault = fault_in(index_.storages[chunk.storage], chunk.at, out); !fault.empty())
    damaged(chunk, std::string(fault));
  done(chunk, room, out);
}

// One read for all; straight into place where that is one chunk, uncoded.
void Loading::load_run(std::span<const Chunk> run, Room& room, const Place& place, const Done& done) const {
  const Chunk& first = run.front();
  if (run.size() == 1 && !first.coded()) {
    const auto out = place(first, room);
    source_.read_at(first.offset, out);
    check(first, out);
    return finish(first, room, out, done);
  }
  const auto all = room.stored.take(run.back().end() - first.offset);
  source_.read_at(first.offset, all);
  for (const Chunk& chunk : run) {
    const auto stored = all.subspan(chunk.offset - first.offset, chunk.record->stored_bytes);
    check(chunk, stored);
    const auto out = place(chunk, room);
    if (chunk.coded())
      decode(chunk, stored, room, out);
    else
      std::copy(stored.begin(), stored.end(), out.begin());
    finish(chunk, room, out, done);
  }
}

// Small chunks that lie side by side are read together.
std::vector<std::span<const Loading::Chunk>> Loading::runs_of(const std::vector<Chunk>& chunks) {
  constexpr uint64_t kRunBytes = kChunkBytes / 4;
  std::vector<std::span<const Chunk>> runs;
  for (const Chunk& chunk : chunks) {
    const bool joins = !runs.empty() && chunk.offset - runs.back().back().end() < kSmallAlignment &&
                       chunk.end() - runs.back().front().offset <= kRunBytes;
    if (joins)
      runs.back() = {runs.back().data(), runs.back().size() + 1};
    else
      runs.emplace_back(&chunk, 1);
  }
  return runs;
}

void Loading::load(std::span<const size_t> wanted, Spares<Room>& rooms, const Place& place,
                   const Done& done) const {
  const std::vector<Chunk> all = chunks(wanted);
  const auto runs = runs_of(all);
  parallel_in_order(runs.size(), [&](size_t i) { load_run(runs[i], *rooms.borrow(), place, done); });
}

std::vector<std::shared_ptr<Storage>> Loading::memory(std::span<const size_t> wanted, Backend& on) const {
  std::vector<std::shared_ptr<Storage>> out(index_.storages.size());
  for (const size_t i : wanted)
    if (!out[i]) out[i] = std::make_shared<Storage>(on, index_.storages[i].bytes);
  return out;
}

void Loading::fill(std::span<const std::shared_ptr<Storage>> storages) const {
  std::vector<size_t> here, away;
  for (size_t i = 0; i < storages.size(); ++i)
    if (storages[i]) (storages[i]->backend().device() == kCpu ? here : away).push_back(i);
  const auto at = [&](const Chunk& chunk) { return storages[chunk.storage]->data() + chunk.at; };
  load(
      here, rooms_, [&](const Chunk& chunk, Room&) { return std::span(at(chunk), chunk.bytes); },
      [](const Chunk&, Room&, std::span<const std::byte>) {});
  if (away.empty()) return;
  Spares<Room> rooms;  // gone at the end, so that what is asked of the device next comes after
  load(
      away, rooms,
      [&](const Chunk& chunk, Room& room) {
        return room.ferries.room(storages[chunk.storage]->backend(), chunk.bytes);
      },
      [&](const Chunk& chunk, Room& room, std::span<const std::byte> bytes) {
        room.ferries.upload(bytes, at(chunk));
      });
}

void Loading::each_chunk(std::span<const size_t> wanted, const TakeChunk& take) const {
  load(
      wanted, rooms_, [](const Chunk& chunk, Room& room) { return room.plain.take(chunk.bytes); },
      [&](const Chunk& chunk, Room&, std::span<const std::byte> bytes) {
        take(chunk.storage, chunk.at, bytes);
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
