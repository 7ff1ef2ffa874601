// Forged files: right checksums around any content, to see that what is wrong in itself is refused too.
#pragma once

#include <cstring>
#include <string>

#include <varve/io/bytes.h>
#include <varve/io/index.h>
#include <varve/io/reader.h>

#include "tests/message.h"

namespace varve::test {

template <class T>
std::span<const std::byte> raw(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}
template <class T>
T sealed(T frame) {
  frame.checksum = io::own_checksum(frame);
  return frame;
}

struct Forged {
  io::Header header;
  io::Bytes data;  // from the header to the index
  io::Bytes index;
  io::Footer footer;  // what is added to the right values

  io::Bytes file() const {
    io::ByteWriter out;
    const io::Header head = sealed(header);
    io::Footer end = footer;
    end.index_offset += sizeof head + data.size();
    end.index_bytes += index.size();
    end.index_checksum += io::checksum(index);
    end.file_bytes += sizeof head + data.size() + index.size() + sizeof end;
    end.header_checksum += head.checksum;
    const io::Footer tail = sealed(end);
    for (const auto part :
         {raw(head), std::span<const std::byte>(data), std::span<const std::byte>(index), raw(tail)})
      out.raw(part);
    return out.take();
  }
};

// What reading everything says.
inline std::string refusal(const io::Bytes& file) {
  const std::string said = message_of<FormatError>([&] { io::Reader(io::from_memory(file)).read(); });
  return said == "nothing was thrown" ? "accepted" : said;
}

}  // namespace varve::test
