// zlib does the work; the bounds and the members are watched here.
#include <varve/io/gzip.h>

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

#include <varve/core/error.h>
#include <varve/io/source.h>

namespace varve::io {
namespace {

constexpr int kGzipOnly = MAX_WBITS + 16;
constexpr uint64_t kFirstBytes = 64 * 1024, kPieceBytes = uint64_t{1} << 30;  // zlib counts in 32 bits

class Inflater {
 public:
  Inflater(const std::string& path, const Bytes& in, uint64_t count) : path_(path), in_(in), count_(count) {
    if (::inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { ::inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  Bytes start() {
    do {
      ::inflateReset(&stream_);
      member();
    } while (at_ < in_.size() && made_ < count_);
    out_.resize(made_);
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& found) const { throw FormatError(path_, at_, "gzip: " + found); }

  // One member, whose checksum and length zlib compares at its end.
  void member() {
    for (int code = Z_OK; code != Z_STREAM_END && made_ < count_;) {
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
      if (code == Z_MEM_ERROR) throw std::bad_alloc();
      if (code == Z_BUF_ERROR && stream_.avail_out > 0) fail("the data is cut short");
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        fail(fmt::format("the data is damaged ({})", stream_.msg ? stream_.msg : "not gzip"));
    }
  }

  void grow() { out_.resize(std::min(std::max(kFirstBytes, 2 * made_), count_)); }

  const std::string& path_;
  const Bytes& in_;
  uint64_t count_, at_ = 0, made_ = 0;
  Bytes out_;
  z_stream stream_{};
};

}  // namespace

Bytes read_start(const std::string& path, uint64_t count) {
  const SourcePtr file = open_file(path);
  constexpr std::array kMagic{std::byte{0x1f}, std::byte{0x8b}};
  std::array<std::byte, 2> magic{};
  if (file->size() >= magic.size()) file->read_at(0, magic);
  Bytes bytes(magic == kMagic ? file->size() : std::min(count, file->size()));
  file->read_at(0, bytes);
  return magic == kMagic ? Inflater(path, bytes, count).start() : bytes;
}

}  // namespace varve::io
