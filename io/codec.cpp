#include <varve/io/codec.h>

#include <array>

namespace varve::io {
namespace {

constexpr std::array<std::string_view, kCodecs> kNames{"none", "zlib", "zstd"};

}  // namespace

std::string_view name_of(Codec codec) { return kNames[static_cast<size_t>(codec)]; }

std::optional<Codec> codec_named(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Codec>(i);
  return {};
}

}  // namespace varve::io
