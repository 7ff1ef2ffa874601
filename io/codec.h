// Codec: how a chunk is kept: its bytes separated into planes (all first bytes of its numbers, then all
// second bytes, ...), each compressed by itself, or as they are where that does not pay.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <varve/core/export.h>

namespace varve::io {

enum class Codec : uint8_t { none = 0, zlib = 1, zstd = 2 };
inline constexpr uint32_t kCodecs = 3;
VARVE_API std::string_view name_of(Codec codec);  // "none", "zlib", "zstd"
VARVE_API std::optional<Codec> codec_named(std::string_view name);

}  // namespace varve::io
