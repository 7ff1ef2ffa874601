#include <varve/io/bytes.h>

namespace varve::io {

// Not inline: g++ 12 takes the vector's growth, once inlined, for a write past its end.
void ByteWriter::raw(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

}  // namespace varve::io
