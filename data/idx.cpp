#include <varve/data/idx.h>

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include <varve/io/gzip.h>

namespace varve::data {
namespace {

uint32_t big_endian(const std::byte* b) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(b[i]);
  return value;
}

DType dtype_of_code(const std::string& path, std::byte code) {
  switch (std::to_integer<int>(code)) {
    case 0x08:
      return DType::u8;
    case 0x09:
      return DType::i8;
    case 0x0B:
      return DType::i16;
    case 0x0C:
      return DType::i32;
    case 0x0D:
      return DType::f32;
    case 0x0E:
      return DType::f64;
    default:
      throw FormatError(path, 2,
                        fmt::format("idx: element type {:#04x}; required is one of 0x08, 0x09, 0x0B to 0x0E",
                                    std::to_integer<int>(code)));
  }
}

// The type and sizes the header declares; the payload follows it.
Spec read_header(const std::string& path, const io::Bytes& bytes) {
  if (bytes.size() < 4) throw FormatError(path, bytes.size(), "idx: the file ends within its magic number");
  if (bytes[0] != std::byte{0} || bytes[1] != std::byte{0})
    throw FormatError(path, 0, "idx: not an IDX file; required are two zero bytes at its start");
  Spec spec{dtype_of_code(path, bytes[2]), {}};
  const int rank = std::to_integer<int>(bytes[3]);
  if (rank > kMaxRank)
    throw FormatError(path, 3, fmt::format("idx: {} axes; at most {} are possible", rank, kMaxRank));
  for (int axis = 0; axis < rank; ++axis) {
    const size_t at = 4 + 4 * static_cast<size_t>(axis);
    if (bytes.size() < at + 4) throw FormatError(path, bytes.size(), "idx: the file ends within its sizes");
    spec.shape.push_back(big_endian(&bytes[at]));
  }
  try {
    numel(spec.shape);
  } catch (const ShapeError& e) {
    throw FormatError(path, 4, fmt::format("idx: {}", e.what()));
  }
  return spec;
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const Spec spec = read_header(path, io::read_start(path, 4 + 4 * kMaxRank));
  const size_t header = 4 + 4 * static_cast<size_t>(spec.shape.rank()), width = size_of(spec.dtype);
  const uint64_t required = spec.bytes();
  // One byte more than declared shows that there are too many; no others are read or inflated.
  const io::Bytes bytes = io::read_start(path, header + required + 1);
  if (const uint64_t found = bytes.size() - header; found != required)
    throw FormatError(
        path, header + std::min(required, found),
        fmt::format("idx: {} bytes follow the header; required for {} are {}",
                    found > required ? "more" : std::to_string(found), to_string(spec), required));
  const Tensor out(make_value(cpu_backend(), spec));
  auto* to = static_cast<std::byte*>(out.view().data);
  for (size_t at = header; at < bytes.size(); at += width, to += width)
    if constexpr (std::endian::native == std::endian::little)
      std::reverse_copy(&bytes[at], &bytes[at] + width, to);
    else
      std::copy_n(&bytes[at], width, to);
  return out;
}

}  // namespace varve::data
