// Forged files: right checksums around any content, to see that what is wrong in itself is refused too.
#pragma once

#include <cstring>
#include <string>

#include <varve/io/bytes.h>
#include <varve/io/chunk_coder.h>
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

// The frame at `offset` of a file that is long enough.
template <class T>
T frame_at(std::span<const std::byte> file, size_t offset) {
  T frame;
  std::memcpy(&frame, file.data() + offset, sizeof frame);
  return frame;
}

// Gives a storage's chunks the checksums of what the file has where they lie; false where that is outside
// `data`.
inline bool sum_chunks(std::span<const std::byte> data, const io::StorageEntry& s,
                       std::span<io::ChunkRecord> records) {
  uint64_t at = s.offset;
  for (size_t c = 0; c < records.size(); ++c) {
    io::ChunkRecord& r = records[c];
    if (at > data.size() || r.stored_bytes > data.size() - at) return false;
    const auto stored = data.subspan(at, r.stored_bytes);
    r.checksum = r.stored_checksum = io::checksum(stored);
    io::Bytes plain(std::min(io::kChunkBytes, s.bytes - c * io::kChunkBytes));
    if (r.stored_bytes < plain.size()) try {
        io::ChunkCoder().decode(s.codec, s.width, stored, plain);
        r.checksum = io::checksum(plain);
      } catch (const Error&) {  // then the checksum of what it decodes to does not matter
      }
    at += r.stored_bytes;
  }
  return true;
}

// An index that is there in full, with checksums that match the chunks in `data`.
inline io::Bytes summed(std::span<const std::byte> data, std::span<const std::byte> bytes,
                        const io::Header& header) {
  try {
    io::Index index = io::decode_index(bytes, header.critical, header.ignorable);
    index.lay_out();
    for (const io::StorageEntry& s : index.storages)
      if (!sum_chunks(data, s, std::span(index.chunks).subspan(s.first_chunk, io::chunks_of(s.bytes)))) break;
    const io::Bytes out = io::encode_index(index);
    if (out.size() == bytes.size()) return out;
  } catch (const Error&) {  // it cannot be read, so it stays as it is
  }
  return {bytes.begin(), bytes.end()};
}

// The same file with checksums that match whatever it says, as far as it can be understood.
inline io::Bytes repaired(io::Bytes file) {
  if (file.size() < sizeof(io::Header) + sizeof(io::Footer)) return file;
  const size_t end = file.size() - sizeof(io::Footer);
  auto header = sealed(frame_at<io::Header>(file, 0));
  auto footer = frame_at<io::Footer>(file, end);
  if (footer.index_offset <= end && footer.index_bytes <= end - footer.index_offset) {
    const auto place = std::span(file).subspan(footer.index_offset, footer.index_bytes);
    const io::Bytes index = summed(std::span(file).first(footer.index_offset), place, header);
    std::copy(index.begin(), index.end(), place.begin());
    footer.index_checksum = io::checksum(index);
  }
  footer.header_checksum = header.checksum;
  footer = sealed(footer);
  std::memcpy(file.data(), &header, sizeof header);
  std::memcpy(file.data() + end, &footer, sizeof footer);
  return file;
}

// What reading everything says.
inline std::string refusal(const io::Bytes& file) {
  const std::string said = message_of<FormatError>([&] { io::Reader(io::from_memory(file)).read(); });
  return said == "nothing was thrown" ? "accepted" : said;
}

}  // namespace varve::test
