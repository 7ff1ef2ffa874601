#include <varve/io/bytes.h>

#include <fmt/format.h>

namespace varve::io {

bool is_text(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto byte = [&](size_t at) {
      return at < bytes.size() ? static_cast<uint8_t>(bytes[at]) : uint8_t{0};
    };
    const uint8_t lead = byte(i);
    if (lead == 0) return false;
    const int more = lead < 0x80         ? 0
                     : lead >> 5 == 0x06 ? 1
                     : lead >> 4 == 0x0e ? 2
                     : lead >> 3 == 0x1e ? 3
                                         : -1;
    if (more < 0) return false;
    uint32_t code = more == 0 ? lead : lead & (0x3fu >> more);
    for (int k = 1; k <= more; ++k) {
      const uint8_t next = byte(i + static_cast<size_t>(k));
      if (next >> 6 != 0x02) return false;
      code = code << 6 | (next & 0x3fu);
    }
    constexpr uint32_t kFewest[] = {0, 0x80, 0x800,
                                    0x10000};  // a shorter form must be used where there is one
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (code < kFewest[more] || surrogate || code > 0x10ffff) return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

// Not inline: g++ 12 takes the vector's growth, once inlined, for a write past its end.
void ByteWriter::raw(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void ByteWriter::text(std::string_view text) {
  if (!is_text(text))
    throw Error(fmt::format(
        "save: a name or string of {} bytes is not UTF-8 without NUL; convert it, or keep it as bytes",
        text.size()));
  counted(std::as_bytes(std::span(text)));
}

std::string_view ByteReader::text() {
  const std::string_view found = as_text(counted());
  if (!is_text(found)) fail(fmt::format("a text of {} bytes is not UTF-8 without NUL", found.size()));
  return found;
}

}  // namespace varve::io
