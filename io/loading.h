// Loading: from chunks in a file to bytes in memory, verified, by all threads. Damage is reported of the
// first chunk that has it, however many threads look.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <varve/core/storage.h>
#include <varve/io/chunk_coder.h>
#include <varve/io/ferries.h>
#include <varve/io/index.h>
#include <varve/io/scratch.h>
#include <varve/io/source.h>
#include <varve/io/spares.h>

namespace varve::io {

// What is done with the bytes of a chunk: they lie at `at` in their storage, and are gone after the call.
using TakeChunk = std::function<void(size_t storage, uint64_t at, std::span<const std::byte> bytes)>;

// The tensor of an entry of a kind that core has.
Tensor tensor_of(const TensorEntry& entry, const std::shared_ptr<Storage>& storage);

class Loading {
 public:
  Loading(const Source& source, const Index& index) : source_(source), index_(index) {}

  // The storages of these numbers in memory of their own, by number; and that memory before they are read.
  std::vector<std::shared_ptr<Storage>> storages(std::span<const size_t> wanted) const {
    auto out = memory(wanted, cpu_backend());
    fill(out);
    return out;
  }
  std::vector<std::shared_ptr<Storage>> memory(std::span<const size_t> wanted, Backend& on) const;
  void fill(std::span<const std::shared_ptr<Storage>> storages) const;
  // Every chunk of these storages, verified, in any order and from any thread. A number may be there twice.
  void each_chunk(std::span<const size_t> wanted, const TakeChunk& take) const;
  void verify(std::span<const size_t> wanted) const {
    each_chunk(wanted, [](size_t, uint64_t, std::span<const std::byte>) {});
  }
  // The zeros between the storages, up to the index, and before it.
  void check_padding(uint64_t index_offset) const;

 private:
  struct Chunk {
    size_t storage;
    uint64_t at, bytes;  // in the storage
    uint64_t offset;     // in the file
    const ChunkRecord* record;
    uint64_t end() const { return offset + record->stored_bytes; }
    bool coded() const { return record->stored_bytes < bytes; }
  };
  // What a thread loads chunks with.
  struct Room {
    ChunkCoder coder;
    Scratch stored, plain;
    Ferries ferries{kFerries};
  };
  static constexpr size_t kFerries = 2;  // one is filled while the other is under way
  // Where a chunk's bytes are to lie, and what is done once they do.
  using Place = std::function<std::span<std::byte>(const Chunk&, Room&)>;
  using Done = std::function<void(const Chunk&, Room&, std::span<const std::byte>)>;

  std::vector<Chunk> chunks(std::span<const size_t> wanted) const;
  static std::vector<std::span<const Chunk>> runs_of(const std::vector<Chunk>& chunks);
  void load(std::span<const size_t> wanted, Spares<Room>& rooms, const Place& place, const Done& done) const;
  void load_run(std::span<const Chunk> run, Room& room, const Place& place, const Done& done) const;
  void check(const Chunk& chunk, std::span<const std::byte> stored) const;
  void finish(const Chunk& chunk, Room& room, std::span<const std::byte> out, const Done& done) const;
  void decode(const Chunk& chunk, std::span<const std::byte> stored, Room& room,
              std::span<std::byte> out) const;
  [[noreturn]] void damaged(const Chunk& chunk, const std::string& found) const;

  const Source& source_;
  const Index& index_;
  mutable Spares<Room> rooms_;
};

}  // namespace varve::io
