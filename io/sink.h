// Sink: where bytes go, front to back, once.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <span>

#include <varve/io/meta.h>

namespace varve::io {

class VARVE_API Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;  // all of them, or it throws
};

class VARVE_API MemorySink : public Sink {
 public:
  void write(std::span<const std::byte> bytes) override;
  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

// IoError when the stream fails. It is flushed to the system, but not synced to any disk.
class VARVE_API StreamSink : public Sink {
 public:
  explicit StreamSink(std::ostream& stream) : stream_(stream) {}
  void write(std::span<const std::byte> bytes) override;

 private:
  std::ostream& stream_;
};

// An open file descriptor, which stays the caller's; a pipe or socket too. IoError when writing fails
// (SIGPIPE is the caller's to ignore).
class VARVE_API DescriptorSink : public Sink {
 public:
  explicit DescriptorSink(int descriptor) : descriptor_(descriptor) {}
  void write(std::span<const std::byte> bytes) override;

 private:
  int descriptor_;
};

}  // namespace varve::io
