// A coded chunk: for each plane a u32, how many bytes it has in the file; the planes; the bytes left over
// when the chunk is no multiple of the width; zeros, so that no chunk decodes to more than kMaxExpansion
// times itself.
#include <varve/io/chunk_coder.h>

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include <varve/core/error.h>
#include <varve/io/layout.h>

namespace varve::io {
namespace {

constexpr uint64_t kMostWindow = uint64_t{8} << 20;  // of a zstd frame: what every decoder is to have
constexpr int kRawDeflate = -MAX_WBITS;              // no header and no checksum: the container has its own

const auto* as_uint8(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
auto* as_uint8(std::byte* p) { return reinterpret_cast<uint8_t*>(p); }

// ---- planes ----

// Byte p of number i is byte i of plane p. Shifts, which compilers turn into vector code.
template <class T>
void separate(const std::byte* in, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    T number;
    std::memcpy(&number, in + i * sizeof(T), sizeof(T));
    for (size_t p = 0; p < sizeof(T); ++p) out[p * count + i] = static_cast<uint8_t>(number >> (8 * p));
  }
}
template <class T>
void unite(const std::array<const std::byte*, 8>& planes, size_t count, std::byte* out) {
  std::array<const std::byte*, sizeof(T)> plane;
  std::copy_n(planes.begin(), sizeof(T), plane.begin());
  for (size_t i = 0; i < count; ++i) {
    T number = 0;
    for (size_t p = 0; p < sizeof(T); ++p)
      number = static_cast<T>(number | static_cast<T>(plane[p][i]) << (8 * p));
    std::memcpy(out + i * sizeof(T), &number, sizeof(T));
  }
}

// Calls f with a number of `width` bytes, 1, 2, 4 or 8.
template <class F>
void with_number(size_t width, const F& f) {
  if (width == 1) return f(uint8_t{});
  if (width == 2) return f(uint16_t{});
  if (width == 4) return f(uint32_t{});
  f(uint64_t{});
}

// ---- one plane ----

// About how many bits a byte of `plane` takes without regard to the bytes before it.
double entropy(std::span<const std::byte> plane) {
  std::array<uint32_t, 256> counts{};
  for (const std::byte b : plane) ++counts[static_cast<size_t>(b)];
  double bits = 0;
  const auto all = static_cast<double>(plane.size());
  for (const uint32_t c : counts)
    if (c) bits -= c / all * std::log2(c / all);
  return bits;
}

// Whether a plane is as good as random, judged by a sample from its middle.
bool is_noise(std::span<const std::byte> plane) {
  constexpr size_t kSample = 16384;
  constexpr double kNoiseBits = 7.9;  // of a sample of that size; random bytes give 7.99
  if (plane.size() < kSample) return false;
  return entropy(plane.subspan((plane.size() - kSample) / 2, kSample)) > kNoiseBits;
}

class Deflater {
 public:
  explicit Deflater(bool strings) {
    const int strategy = strings ? Z_DEFAULT_STRATEGY : Z_HUFFMAN_ONLY;
    if (::deflateInit2(&stream_, 1, Z_DEFLATED, kRawDeflate, 9, strategy) != Z_OK) throw std::bad_alloc();
  }
  ~Deflater() { ::deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  size_t operator()(std::span<const std::byte> plane, std::span<std::byte> out) {
    ::deflateReset(&stream_);
    stream_.next_in = const_cast<Bytef*>(as_uint8(plane.data()));
    stream_.avail_in = static_cast<uInt>(plane.size());
    stream_.next_out = as_uint8(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    return ::deflate(&stream_, Z_FINISH) == Z_STREAM_END ? out.size() - stream_.avail_out : 0;
  }

 private:
  z_stream stream_{};
};

struct FreeCompressor {
  void operator()(ZSTD_CCtx* c) const { ::ZSTD_freeCCtx(c); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* c) const { ::ZSTD_freeDCtx(c); }
};

class Zstd {
 public:
  // With `strings`, repeated ones are looked for as level 1 does; without, in the smallest table there is.
  explicit Zstd(bool strings) : context_(::ZSTD_createCCtx()) {
    if (!context_) throw std::bad_alloc();
    set(ZSTD_c_compressionLevel, 1);
    if (strings) return;
    set(ZSTD_c_minMatch, 7);
    set(ZSTD_c_hashLog, ::ZSTD_cParam_getBounds(ZSTD_c_hashLog).lowerBound);
  }
  size_t operator()(std::span<const std::byte> plane, std::span<std::byte> out) {
    const size_t used = ::ZSTD_compress2(context_.get(), out.data(), out.size(), plane.data(), plane.size());
    return ::ZSTD_isError(used) ? 0 : used;
  }

 private:
  void set(ZSTD_cParameter parameter, int value) {
    ::ZSTD_CCtx_setParameter(context_.get(), parameter, value);
  }
  std::unique_ptr<ZSTD_CCtx, FreeCompressor> context_;
};

// Mantissas and exponents hold no strings to find: coding single bytes is as short, several times as fast to
// write, and twice as fast to read. A sample tells where that is not so. Each coder says how many bytes it
// took, 0 where there was no room.
template <class Coder>
struct Either {
  Coder strings{true}, single{false};

  size_t operator()(std::span<const std::byte> plane, std::span<std::byte> out) {
    constexpr size_t kSample = 8192;
    const auto sample = plane.first(std::min(plane.size(), kSample));
    std::array<std::byte, 2 * kSample> scratch;
    const bool repeats = strings(sample, scratch) < single(sample, scratch) * 19 / 20;
    return (repeats ? strings : single)(plane, out);
  }
};

bool inflate_plane(std::span<const std::byte> stored, std::span<std::byte> out) {
  z_stream stream{};
  if (::inflateInit2(&stream, kRawDeflate) != Z_OK) throw std::bad_alloc();
  stream.next_in = const_cast<Bytef*>(as_uint8(stored.data()));
  stream.avail_in = static_cast<uInt>(stored.size());
  stream.next_out = as_uint8(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = ::inflate(&stream, Z_FINISH);
  ::inflateEnd(&stream);
  if (code == Z_MEM_ERROR) throw std::bad_alloc();
  return code == Z_STREAM_END && stream.avail_in == 0 && stream.avail_out == 0;
}

// Of a whole frame (RFC 8878, 3.1.1.1): 0 where it is the content.
uint64_t zstd_window(std::span<const std::byte> frame) {
  if ((frame[4] & std::byte{0x20}) != std::byte{}) return 0;
  const auto descriptor = static_cast<uint64_t>(frame[5]);
  return (8 + (descriptor & 7)) << (7 + (descriptor >> 3));
}

bool zstd_unplane(ZSTD_DCtx* context, std::span<const std::byte> stored, std::span<std::byte> out) {
  // One frame of exactly this content: no skippable ones, none of the formats of before version 1.
  constexpr std::array<uint8_t, 4> kMagic{0x28, 0xb5, 0x2f, 0xfd};
  if (stored.size() < kMagic.size() || std::memcmp(stored.data(), kMagic.data(), kMagic.size()) != 0)
    return false;
  if (::ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) return false;
  if (::ZSTD_getFrameContentSize(stored.data(), stored.size()) != out.size()) return false;
  if (zstd_window(stored) > kMostWindow) return false;
  return ::ZSTD_decompressDCtx(context, out.data(), out.size(), stored.data(), stored.size()) == out.size();
}

}  // namespace

struct ChunkCoder::Coders {
  std::optional<Either<Deflater>> zlib;
  std::optional<Either<Zstd>> zstd;
  std::unique_ptr<ZSTD_DCtx, FreeDecompressor> unzstd;

  size_t encode(Codec codec, std::span<const std::byte> plane, std::span<std::byte> out) {
    if (codec == Codec::zlib) return (zlib ? *zlib : zlib.emplace())(plane, out);
    return (zstd ? *zstd : zstd.emplace())(plane, out);
  }
  bool decode(Codec codec, std::span<const std::byte> stored, std::span<std::byte> out) {
    if (codec == Codec::zlib) return inflate_plane(stored, out);
    if (!unzstd) unzstd.reset(::ZSTD_createDCtx());
    if (!unzstd) throw std::bad_alloc();
    return zstd_unplane(unzstd.get(), stored, out);
  }
};

ChunkCoder::ChunkCoder() : coders_(std::make_unique<Coders>()) {}
ChunkCoder::~ChunkCoder() = default;
ChunkCoder::ChunkCoder(ChunkCoder&&) noexcept = default;
ChunkCoder& ChunkCoder::operator=(ChunkCoder&&) noexcept = default;

std::span<const std::byte> ChunkCoder::encode(Codec codec, size_t width, std::span<const std::byte> chunk) {
  const size_t count = chunk.size() / width, sizes = 4 * width;
  if (codec == Codec::none || count == 0) return {};
  const auto planes = planes_.take(count * width);
  with_number(width, [&]<class T>(T) { separate<T>(chunk.data(), count, as_uint8(planes.data())); });
  const auto out = coded_.take(sizes + chunk.size());
  size_t used = sizes;
  for (size_t p = 0; p < width; ++p) {
    const auto plane = planes.subspan(p * count, count);
    const auto room = out.subspan(used, count - 1);
    size_t size = is_noise(plane) ? 0 : coders_->encode(codec, plane, room);
    if (size == 0) {
      size = count;
      std::memcpy(out.data() + used, plane.data(), count);
    }
    const auto stored = static_cast<uint32_t>(size);
    std::memcpy(out.data() + 4 * p, &stored, sizeof stored);
    used += size;
  }
  const auto tail = chunk.subspan(count * width);
  const size_t total = std::max<size_t>(used + tail.size(), fewest_stored(chunk.size()));
  if (total >= chunk.size()) return {};
  std::memcpy(out.data() + used, tail.data(), tail.size());
  std::memset(out.data() + used + tail.size(), 0, total - used - tail.size());
  return out.first(total);
}

void ChunkCoder::decode(Codec codec, size_t width, std::span<const std::byte> stored,
                        std::span<std::byte> out) {
  const size_t count = out.size() / width, sizes = 4 * width;
  const auto wrong = [](const char* what) { throw Error(std::string("codec: ") + what); };
  if (codec == Codec::none || count == 0 || stored.size() < sizes) wrong("a coded chunk is too short");
  const auto decoded = planes_.take(count * width);
  std::array<const std::byte*, 8> planes{};  // where each lies once decoded
  size_t used = sizes;
  for (size_t p = 0; p < width; ++p) {
    uint32_t size = 0;
    std::memcpy(&size, stored.data() + 4 * p, sizeof size);
    if (size > count || size > stored.size() - used) wrong("a plane is larger than its chunk");
    const auto plane = stored.subspan(used, size);
    const auto target = decoded.subspan(p * count, count);
    planes[p] = size == count ? plane.data() : target.data();
    if (size < count && !coders_->decode(codec, plane, target)) wrong("a plane does not decode to its size");
    used += size;
  }
  with_number(width, [&]<class T>(T) { unite<T>(planes, count, out.data()); });
  const auto tail = out.subspan(count * width);
  if (tail.size() > stored.size() - used) wrong("the last bytes of a chunk are missing");
  std::memcpy(tail.data(), stored.data() + used, tail.size());
  used += tail.size();
  if (stored.size() != std::max<size_t>(used, fewest_stored(out.size()))) wrong("bytes are left over");
  for (const std::byte b : stored.subspan(used))
    if (b != std::byte{}) wrong("padding is not zero");
}

}  // namespace varve::io
