// A coded chunk: for each plane a u32, how many bytes it has in the file; the planes; the bytes left over
// when the chunk is no multiple of the width; zeros, so that no chunk decodes to more than kMaxExpansion
// times itself.
#include <varve/io/codec.h>

#include <zlib.h>
#include <zstd.h>

#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include <varve/core/error.h>
#include <varve/io/layout.h>

namespace varve::io {
namespace {

constexpr std::array<std::string_view, kCodecs> kNames{"none", "zlib", "zstd"};
constexpr int kRawDeflate = -MAX_WBITS;  // no header and no checksum: the container has its own
constexpr int kZstdLevel = 1;

const auto* as_uint8(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
auto* as_uint8(std::byte* p) { return reinterpret_cast<uint8_t*>(p); }

// ---- planes ----

template <size_t kWidth>
void separate(const uint8_t* in, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i)
    for (size_t p = 0; p < kWidth; ++p) out[p * count + i] = in[i * kWidth + p];
}
template <size_t kWidth>
void unite(const uint8_t* in, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i)
    for (size_t p = 0; p < kWidth; ++p) out[i * kWidth + p] = in[p * count + i];
}

void separate(size_t width, std::span<const std::byte> in, std::byte* out) {
  const size_t count = in.size() / width;
  if (width == 2) return separate<2>(as_uint8(in.data()), count, as_uint8(out));
  if (width == 4) return separate<4>(as_uint8(in.data()), count, as_uint8(out));
  separate<8>(as_uint8(in.data()), count, as_uint8(out));
}
void unite(size_t width, const std::byte* in, std::span<std::byte> out) {
  const size_t count = out.size() / width;
  if (width == 2) return unite<2>(as_uint8(in), count, as_uint8(out.data()));
  if (width == 4) return unite<4>(as_uint8(in), count, as_uint8(out.data()));
  unite<8>(as_uint8(in), count, as_uint8(out.data()));
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
  Deflater(int level, int strategy) {
    if (::deflateInit2(&stream_, level, Z_DEFLATED, kRawDeflate, 9, strategy) != Z_OK) throw std::bad_alloc();
  }
  ~Deflater() { ::deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  // How many bytes of `out` it took, 0 where there was no room.
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

size_t deflate_plane(std::span<const std::byte> plane, std::span<std::byte> out) {
  // Mantissas and exponents hold no strings to find: coding single bytes is as short and six times as fast. A
  // sample tells where that is not so.
  constexpr size_t kSample = 8192;
  Deflater huffman(1, Z_HUFFMAN_ONLY), strings(1, Z_DEFAULT_STRATEGY);
  const auto sample = plane.first(std::min(plane.size(), kSample));
  std::array<std::byte, 2 * kSample> scratch;
  const bool repeats = strings(sample, scratch) < huffman(sample, scratch) * 19 / 20;
  return (repeats ? strings : huffman)(plane, out);
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* c) const { ::ZSTD_freeCCtx(c); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* c) const { ::ZSTD_freeDCtx(c); }
};

size_t zstd_plane(ZSTD_CCtx* context, std::span<const std::byte> plane, std::span<std::byte> out) {
  const size_t used =
      ::ZSTD_compressCCtx(context, out.data(), out.size(), plane.data(), plane.size(), kZstdLevel);
  return ::ZSTD_isError(used) ? 0 : used;
}

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

bool zstd_unplane(ZSTD_DCtx* context, std::span<const std::byte> stored, std::span<std::byte> out) {
  // One frame of exactly this content: no skippable ones, none of the formats of before version 1.
  constexpr std::array<uint8_t, 4> kMagic{0x28, 0xb5, 0x2f, 0xfd};
  if (stored.size() < kMagic.size() || std::memcmp(stored.data(), kMagic.data(), kMagic.size()) != 0)
    return false;
  if (::ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) return false;
  return ::ZSTD_decompressDCtx(context, out.data(), out.size(), stored.data(), stored.size()) == out.size();
}

}  // namespace

std::string_view name_of(Codec codec) { return kNames[static_cast<size_t>(codec)]; }

std::optional<Codec> codec_named(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Codec>(i);
  return {};
}

Bytes encode_chunk(Codec codec, size_t width, std::span<const std::byte> chunk) {
  const size_t count = chunk.size() / width, sizes = 4 * width;
  if (codec == Codec::none || count == 0) return {};
  Bytes planes;
  std::span<const std::byte> from = chunk;
  if (width > 1) {
    planes.resize(count * width);
    separate(width, chunk, planes.data());
    from = planes;
  }
  Bytes out(sizes + chunk.size());
  size_t used = sizes;
  std::unique_ptr<ZSTD_CCtx, FreeCompressor> zstd(codec == Codec::zstd ? ::ZSTD_createCCtx() : nullptr);
  if (codec == Codec::zstd && !zstd) throw std::bad_alloc();
  for (size_t p = 0; p < width; ++p) {
    const auto plane = from.subspan(p * count, count);
    const auto room = std::span(out).subspan(used, count - 1);
    size_t size = is_noise(plane)        ? 0
                  : codec == Codec::zlib ? deflate_plane(plane, room)
                                         : zstd_plane(zstd.get(), plane, room);
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
  out.resize(total);
  return out;
}

void decode_chunk(Codec codec, size_t width, std::span<const std::byte> stored, std::span<std::byte> out) {
  const size_t count = out.size() / width, sizes = 4 * width;
  const auto wrong = [](const char* what) { throw Error(std::string("codec: ") + what); };
  if (codec == Codec::none || count == 0 || stored.size() < sizes) wrong("a coded chunk is too short");
  Bytes planes(width > 1 ? count * width : 0);
  const std::span<std::byte> into = width > 1 ? std::span(planes) : out.first(count);
  std::unique_ptr<ZSTD_DCtx, FreeDecompressor> zstd(codec == Codec::zstd ? ::ZSTD_createDCtx() : nullptr);
  if (codec == Codec::zstd && !zstd) throw std::bad_alloc();
  size_t used = sizes;
  for (size_t p = 0; p < width; ++p) {
    uint32_t size = 0;
    std::memcpy(&size, stored.data() + 4 * p, sizeof size);
    if (size > count || size > stored.size() - used) wrong("a plane is larger than its chunk");
    const auto plane = stored.subspan(used, size);
    const auto target = into.subspan(p * count, count);
    if (size == count)
      std::memcpy(target.data(), plane.data(), count);
    else if (!(codec == Codec::zlib ? inflate_plane(plane, target) : zstd_unplane(zstd.get(), plane, target)))
      wrong("a plane does not decode to its size");
    used += size;
  }
  if (width > 1) unite(width, planes.data(), out.first(count * width));
  const auto tail = out.subspan(count * width);
  if (tail.size() > stored.size() - used) wrong("the last bytes of a chunk are missing");
  std::memcpy(tail.data(), stored.data() + used, tail.size());
  used += tail.size();
  if (stored.size() != std::max<size_t>(used, fewest_stored(out.size()))) wrong("bytes are left over");
  for (const std::byte b : stored.subspan(used))
    if (b != std::byte{}) wrong("padding is not zero");
}

}  // namespace varve::io
