// ChunkCoder: chunks coded and decoded, one after the other; it keeps its memory, a chunk to decode and two
// to encode, for the next one.
#pragma once

#include <memory>
#include <span>

#include <varve/io/codec.h>
#include <varve/io/scratch.h>

namespace varve::io {

class VARVE_API ChunkCoder {
 public:
  ChunkCoder();
  ~ChunkCoder();
  ChunkCoder(ChunkCoder&&) noexcept;
  ChunkCoder& operator=(ChunkCoder&&) noexcept;

  // `chunk`, made of numbers of `width` bytes, coded; empty where that is not shorter. Valid until the next
  // call.
  std::span<const std::byte> encode(Codec codec, size_t width, std::span<const std::byte> chunk);
  // Fills `out` with what `stored` stands for; an Error when they are not what encode makes.
  void decode(Codec codec, size_t width, std::span<const std::byte> stored, std::span<std::byte> out);

 private:
  struct Coders;
  std::unique_ptr<Coders> coders_;
  Scratch planes_, coded_;
};

}  // namespace varve::io
