// Writes complete or throws: short and interrupted ones go on.
#include <varve/io/sink.h>

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>

#include <varve/core/error.h>

namespace varve::io {

void MemorySink::write(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void StreamSink::write(std::span<const std::byte> bytes) {
  errno = 0;
  try {
    stream_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    stream_.flush();                         // or the last bytes would fail when nobody asks any more
  } catch (const std::ios_base::failure&) {  // its state says the same
  }
  if (!stream_)
    throw IoError("stream", errno ? errno : EIO, fmt::format("save: cannot write {} bytes", bytes.size()));
}

void DescriptorSink::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(descriptor_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0)
      throw IoError(fmt::format("descriptor {}", descriptor_), wrote < 0 ? errno : EIO,
                    fmt::format("save: cannot write {} bytes", bytes.size()));
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
}

}  // namespace varve::io
