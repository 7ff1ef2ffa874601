// CRC-32 by zlib.
#include <varve/io/checksum.h>

#include <zlib.h>

namespace varve::io {

uint64_t checksum(std::span<const std::byte> bytes) {
  return ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

}  // namespace varve::io
