// checksum: what a file's bytes are compared with. This is the one place that knows which checksum it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <varve/core/export.h>

namespace varve::io {

// The CRC-32 of zlib and PNG, as 64 bits.
VARVE_API uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace varve::io
