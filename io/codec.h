// Codec: how a chunk is kept: its bytes separated into planes (all first bytes of its numbers, then all
// second bytes, ...), each compressed by itself, or as they are where that does not pay.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <varve/io/meta.h>

namespace varve::io {

enum class Codec : uint8_t { none = 0, zlib = 1, zstd = 2 };
inline constexpr uint32_t kCodecs = 3;
VARVE_API std::string_view name_of(Codec codec);  // "none", "zlib", "zstd"
VARVE_API std::optional<Codec> codec_named(std::string_view name);

// `chunk`, made of numbers of `width` bytes, coded; empty where that is not shorter.
VARVE_API Bytes encode_chunk(Codec codec, size_t width, std::span<const std::byte> chunk);
// Fills `out` with what `stored` stands for; an Error when they are not what encode_chunk makes.
VARVE_API void decode_chunk(Codec codec, size_t width, std::span<const std::byte> stored,
                            std::span<std::byte> out);

}  // namespace varve::io
