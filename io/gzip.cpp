// zlib does the work; the bounds and the members are watched here.
#include <varve/io/gzip.h>

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <new>

#include <varve/core/error.h>
#include <varve/io/file.h>

namespace varve::io {
namespace {

constexpr int kGzipOnly = MAX_WBITS + 16;
constexpr uint64_t kFirstBytes = 64 * 1024, kPieceBytes = uint64_t{1} << 30;  // zlib counts in 32 bits
constexpr uint64_t kMostBytes = uint64_t{1} << 62;                            // its double still fits

class Inflater {
 public:
  Inflater(const std::string& path, const Bytes& in, uint64_t max_bytes)
      : path_(path), in_(in), max_bytes_(std::min(max_bytes, kMostBytes)) {
    if (::inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  Bytes all() {
    do {
      ::inflateReset(&stream_);
      member();
    } while (at_ < in_.size());
    out_.resize(made_);
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& found) const { throw FormatError(path_, at_, "gzip: " + found); }

  // One member, whose checksum and length zlib compares.
  void member() {
    for (int code = Z_OK; code != Z_STREAM_END;) {
      if (made_ == out_.size()) grow();
      const uint64_t given = std::min<uint64_t>(in_.size() - at_, kPieceBytes);
      const uint64_t room = std::min<uint64_t>(out_.size() - made_, kPieceBytes);
      stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in_.data() + at_));
      stream_.avail_in = static_cast<uInt>(given);
      stream_.next_out = reinterpret_cast<Bytef*>(out_.data() + made_);
      stream_.avail_out = static_cast<uInt>(room);
      code = ::inflate(&stream_, Z_NO_FLUSH);
      at_ += given - stream_.avail_in;
      made_ += room - stream_.avail_out;
      if (made_ > max_bytes_)
        fail(fmt::format("inflates to more than {} bytes; raise max_bytes", max_bytes_));
      if (code == Z_MEM_ERROR) throw std::bad_alloc();
      if (code == Z_BUF_ERROR && stream_.avail_out > 0) fail("the data is cut short");
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        fail(fmt::format("the data is damaged ({})", stream_.msg ? stream_.msg : "not gzip"));
    }
  }

  // One byte above the limit, so that data of exactly max_bytes_ has room to end, and more than that shows.
  void grow() { out_.resize(std::min(std::max(kFirstBytes, 2 * made_), max_bytes_ + 1)); }

  const std::string& path_;
  const Bytes& in_;
  uint64_t max_bytes_, at_ = 0, made_ = 0;
  Bytes out_;
  z_stream stream_{};
};

}  // namespace

Bytes read_file(const std::string& path) {
  const File file(path);
  Bytes bytes(file.size());
  file.read_at(0, bytes);
  return bytes;
}

Bytes read_maybe_gzip(const std::string& path, uint64_t max_bytes) {
  Bytes bytes = read_file(path);
  if (bytes.size() < 2 || bytes[0] != std::byte{0x1f} || bytes[1] != std::byte{0x8b}) return bytes;
  return Inflater(path, bytes, max_bytes).all();
}

}  // namespace varve::io
