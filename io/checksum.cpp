// xxHash does the work, compiled in: its speed is that of a header, and no user links it.
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <varve/io/checksum.h>

namespace varve::io {

uint64_t checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

Fingerprint fingerprint(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

std::string to_string(const Fingerprint& f) { return fmt::format("{:016x}{:016x}", f.high, f.low); }

}  // namespace varve::io
