#include "npy.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>

#include <varve/core/error.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/views.h>
#include <varve/io/durable.h>
#include <varve/io/element.h>
#include <varve/io/source.h>

namespace varve::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMostHeaderBytes = 1 << 20;

struct Descr {
  std::string_view name;
  DType dtype;
};
constexpr std::array kDescrs{
    Descr{"<f4", DType::f32}, Descr{"<f8", DType::f64}, Descr{"<f2", DType::f16},
    Descr{"|i1", DType::i8},  Descr{"<i2", DType::i16}, Descr{"<i4", DType::i32},
    Descr{"<i8", DType::i64}, Descr{"|u1", DType::u8},  Descr{"<u2", DType::u16},
    Descr{"<u4", DType::u32}, Descr{"<u8", DType::u64}, Descr{"|b1", DType::boolean}};

// What follows 'key': in the header, up to the next comma outside parentheses or the brace.
std::string_view field(std::string_view header, std::string_view key) {
  const size_t at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) throw Error(fmt::format("the header has no '{}'", key));
  std::string_view rest = header.substr(at + key.size() + 3);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const size_t end = rest.starts_with('(') ? rest.find(')') + 1 : rest.find_first_of(",}");
  return rest.substr(0, end);
}

Shape shape_from(std::string_view text) {
  Shape shape;
  if (!text.starts_with('(') || !text.ends_with(')')) throw Error("the shape is no tuple");
  const char *at = text.data() + 1, *end = text.data() + text.size() - 1;
  while (at < end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc() || size < 0) throw Error("the shape has what is no size");
    shape.push_back(size);
    at = next;
  }
  return shape;
}

DType dtype_from(std::string_view text) {
  for (const Descr& d : kDescrs)
    if (text.size() == d.name.size() + 2 && text.substr(1, d.name.size()) == d.name) return d.dtype;
  throw Error(fmt::format("arrays of {} cannot be read", text));
}

// What stands before the data.
struct Header {
  std::string text;
  uint64_t begin = 0;
  uint64_t end() const { return begin + text.size(); }
};

Header header_of(const io::Source& source) {
  std::array<char, 12> start{};
  source.read_at(0, std::as_writable_bytes(std::span(start)).first(10));
  if (std::string_view(start.data(), 6) != kMagic) throw FormatError(source.name(), 0, "no .npy file");
  const bool is_long = start[6] > 1;
  uint64_t length = 0;
  source.read_at(8, std::as_writable_bytes(std::span(&length, 1)).first(is_long ? 4 : 2));
  if (start[6] < 1 || start[6] > 3 || length > kMostHeaderBytes)
    throw FormatError(source.name(), 6, "the header is wrong");
  Header header{std::string(length, ' '), is_long ? uint64_t{12} : uint64_t{10}};
  source.read_at(header.begin, std::as_writable_bytes(std::span(header.text)));
  return header;
}

Dims reversed(const Dims& dims) {
  Dims out;
  for (int i = dims.rank(); i-- > 0;) out.push_back(dims[i]);
  return out;
}

Tensor array_from(const io::Source& source, const Header& header) {
  const DType dtype = dtype_from(field(header.text, "descr"));
  const std::string_view order = field(header.text, "fortran_order");
  const Shape shape = shape_from(field(header.text, "shape"));
  const bool fortran = order == "True";
  if (!fortran && order != "False") throw Error("the order is neither True nor False");
  const uint64_t bytes = Spec{dtype, shape}.bytes(), found = source.size() - header.end();
  if (bytes != found)
    throw Error(
        fmt::format("{} bytes of data; {} {} takes {}", found, name_of(dtype), to_string(shape), bytes));
  const Tensor out = zeros(fortran ? reversed(shape) : shape, dtype);
  const std::span data(out.view().as<std::byte>(), bytes);
  source.read_at(header.end(), data);
  if (dtype == DType::boolean && !io::are_truths(data)) throw Error("a bool is neither 0 nor 1");
  if (!fortran) return out;
  Axes axes;
  for (int i = 0; i < shape.rank(); ++i) axes.push_back(i);
  return contiguous(permute(out, reversed(axes)));
}

}  // namespace

Tensor read_npy(const std::string& path) {
  const io::SourcePtr source = io::open_file(path);
  const Header header = header_of(*source);
  try {
    return array_from(*source, header);
  } catch (const FormatError&) {
    throw;
  } catch (const IoError&) {
    throw;
  } catch (const Error& e) {
    throw FormatError(path, header.begin, e.what());
  }
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const Tensor plain = contiguous(tensor.dtype() == DType::bf16 ? cast(tensor, DType::f32) : tensor.detach());
  std::string_view descr;
  for (const Descr& d : kDescrs)
    if (d.dtype == plain.dtype()) descr = d.name;
  std::string shape;
  for (const int64_t size : plain.shape()) shape += fmt::format("{}, ", size);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  constexpr size_t kAlignment = 64, kBefore = 10;
  header.resize((kBefore + header.size() + kAlignment) / kAlignment * kAlignment - kBefore, ' ');
  header.back() = '\n';
  const auto length = static_cast<uint16_t>(header.size());
  io::durable_write(path, {kBefore + header.size() + plain.spec().bytes()}, [&](io::Sink& sink) {
    sink.write(std::as_bytes(std::span(kMagic)));
    constexpr std::array<char, 2> kVersion{1, 0};
    sink.write(std::as_bytes(std::span(kVersion)));
    sink.write(std::as_bytes(std::span(&length, 1)));
    sink.write(std::as_bytes(std::span(header)));
    sink.write({plain.view().as<const std::byte>(), plain.spec().bytes()});
  });
}

}  // namespace varve::cli
