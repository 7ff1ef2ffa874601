// Checksums: what a file's bytes are compared with, and the fingerprint of a file's content. XXH3 finds
// damage; it does not stop an attacker, who can compute it anew.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <varve/core/export.h>

namespace varve::io {

// XXH3-64 with seed 0.
VARVE_API uint64_t checksum(std::span<const std::byte> bytes);

// XXH3-128 with seed 0: names what it is taken of.
struct Fingerprint {
  uint64_t high = 0, low = 0;
  friend auto operator<=>(const Fingerprint&, const Fingerprint&) = default;
};
VARVE_API Fingerprint fingerprint(std::span<const std::byte> bytes);
VARVE_API std::string to_string(const Fingerprint& fingerprint);  // 32 hexadecimal digits

}  // namespace varve::io
