// nlohmann's parser reads the header; everything it says is checked here.
#include <varve/io/foreign/safetensors.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>

#include <varve/core/error.h>
#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/record.h>
#include <varve/io/durable.h>
#include <varve/io/layout.h>

namespace varve::io {
namespace {

using Json = nlohmann::json;
constexpr uint64_t kLengthBytes = 8, kMostHeaderBytes = 100'000'000;
constexpr size_t kAlignment = 8;  // of the first byte of data
constexpr int kDeepest = 3;       // the header's, an entry's, a list's

struct Dtype {
  std::string_view name;
  ElementKind element;
};
// In the order that the reference implementation writes them in, the last first: every tensor is aligned.
constexpr std::array kDtypes{Dtype{"BOOL", ElementKind::boolean},
                             Dtype{"F4", ElementKind::f4_e2m1fn},
                             Dtype{"F6_E2M3", ElementKind::f6_e2m3fn},
                             Dtype{"F6_E3M2", ElementKind::f6_e3m2fn},
                             Dtype{"U8", ElementKind::u8},
                             Dtype{"I8", ElementKind::i8},
                             Dtype{"F8_E5M2", ElementKind::f8_e5m2},
                             Dtype{"F8_E4M3", ElementKind::f8_e4m3fn},
                             Dtype{"F8_E8M0", ElementKind::f8_e8m0fnu},
                             Dtype{"F8_E4M3FNUZ", ElementKind::f8_e4m3fnuz},
                             Dtype{"F8_E5M2FNUZ", ElementKind::f8_e5m2fnuz},
                             Dtype{"I16", ElementKind::i16},
                             Dtype{"U16", ElementKind::u16},
                             Dtype{"F16", ElementKind::f16},
                             Dtype{"BF16", ElementKind::bf16},
                             Dtype{"I32", ElementKind::i32},
                             Dtype{"U32", ElementKind::u32},
                             Dtype{"F32", ElementKind::f32},
                             Dtype{"C64", ElementKind::complex64},
                             Dtype{"F64", ElementKind::f64},
                             Dtype{"I64", ElementKind::i64},
                             Dtype{"U64", ElementKind::u64}};

// ---- reading ----

struct Entry {
  std::string name;
  ElementKind element = ElementKind::f32;
  Shape shape;
  uint64_t begin = 0, end = 0;
};

uint64_t header_bytes(const Source& source) {
  uint64_t length = 0;
  source.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  return length;
}

// The header, refusing a key that an object has twice; JSON itself would let the last one win.
Json parse(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > kDeepest) throw Error("the header nests deeper than any tensor's entry does");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      throw Error(fmt::format("the key '{}' is there twice", value.get<std::string>()));
    return true;
  };
  if (text.find('\0') != std::string::npos) throw Error("the header has a NUL");
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& e) {
    throw Error(fmt::format("the header is no JSON: {}", e.what()));
  }
}

uint64_t whole_number(const Json& value, std::string_view what) {
  if (!value.is_number_unsigned()) throw Error(fmt::format("{} is no whole number of at least 0", what));
  return value.get<uint64_t>();
}

const Json& field(const Json& of, const char* name) {
  const auto found = of.find(name);
  if (found == of.end()) throw Error(fmt::format("'{}' is missing", name));
  return *found;
}

Entry entry_from(const std::string& name, const Json& json, uint64_t data_bytes) {
  if (!json.is_object()) throw Error("it is no object");
  Entry e{name, {}, {}, 0, 0};
  const Json& dtype = field(json, "dtype");
  const auto known = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) {
    return dtype.is_string() && dtype == std::string(d.name);
  });
  if (known == kDtypes.end())
    throw Error(dtype.is_string() ? fmt::format("dtype '{}' is unknown", dtype.get<std::string>())
                                  : "its dtype is no string");
  e.element = known->element;
  const Json &shape = field(json, "shape"), &offsets = field(json, "data_offsets");
  if (!shape.is_array() || shape.size() > static_cast<size_t>(kMaxRank))
    throw Error(fmt::format("its shape is no list of at most {} sizes", kMaxRank));
  int64_t bits = info_of(e.element)->bits;  // of all elements, and never beyond what an i64 holds
  int64_t count = 1;
  for (const Json& size : shape) {
    const uint64_t d = whole_number(size, "a size");
    if (d > INT64_MAX) throw Error("a size is beyond 63 bits");
    e.shape.push_back(static_cast<int64_t>(d));
    count = checked_multiply(count, std::max<int64_t>(e.shape.back(), 1));
  }
  checked_multiply(count, bits);
  bits = numel(e.shape) * bits;
  if (!offsets.is_array() || offsets.size() != 2) throw Error("its data_offsets are no pair");
  e.begin = whole_number(offsets[0], "an offset");
  e.end = whole_number(offsets[1], "an offset");
  if (e.begin > e.end || e.end > data_bytes)
    throw Error(
        fmt::format("bytes {} to {} are not within the {} bytes of data", e.begin, e.end, data_bytes));
  if (bits % 8 != 0 || static_cast<uint64_t>(bits / 8) != e.end - e.begin)
    throw Error(fmt::format("shape {} of {} does not fit {} bytes", to_string(e.shape),
                            info_of(e.element)->name, e.end - e.begin));
  return e;
}

// Puts the entries in the order of their bytes.
void check_layout(std::vector<Entry>& entries, uint64_t data_bytes) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  for (const Entry& e : entries) {
    if (e.begin != end)
      throw Error(
          fmt::format("tensor '{}' begins at byte {}, what is before it ends at {}", e.name, e.begin, end));
    end = e.end;
  }
  if (end != data_bytes)
    throw Error(fmt::format("{} bytes at the end belong to no tensor", data_bytes - end));
}

Meta metadata_from(const Json& json) {
  MetaMap meta;
  if (!json.is_object()) throw Error("__metadata__ is no object");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) throw Error(fmt::format("__metadata__ '{}' is no string", key));
    meta.emplace_back(key, value.get<std::string>());
  }
  return meta;
}

std::vector<Entry> entries_from(const Json& header, uint64_t data_bytes, Meta& meta) {
  if (!header.is_object()) throw Error("the header is no object");
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      meta = metadata_from(json);
      continue;
    }
    try {
      entries.push_back(entry_from(name, json, data_bytes));
    } catch (const Error& e) {
      throw Error(fmt::format("tensor '{}': {}", name, e.what()));
    }
  }
  check_layout(entries, data_bytes);
  return entries;
}

// An entry's bytes: where they lie in `memory`, the source's, if they can be used there; else read.
std::shared_ptr<Storage> storage_of(const Entry& e, const SourcePtr& source, uint64_t offset,
                                    std::span<std::byte> memory) {
  const uint64_t bytes = e.end - e.begin;
  if (!memory.empty()) {
    std::byte* at = memory.data() + offset;
    const auto size = static_cast<uintptr_t>(std::max(info_of(e.element)->bits / 8, 1));
    if (reinterpret_cast<uintptr_t>(at) % size == 0)
      return std::make_shared<Storage>(cpu_backend(), at, bytes, source);
  }
  auto storage = std::make_shared<Storage>(cpu_backend(), bytes);
  source->read_at(offset, {storage->data(), bytes});
  return storage;
}

void add(const Entry& e, const std::shared_ptr<Storage>& storage, Container& out) {
  const auto& [name, bits, planes, dtype] = *info_of(e.element);
  const std::span<const std::byte> bytes(storage->data(), storage->bytes());
  if (dtype == DType::boolean && !are_truths(bytes))
    throw Error(fmt::format("tensor '{}': a bool is neither 0 nor 1", e.name));
  if (!bytes.empty() && !are_spare(bytes.back(), spare_bits(numel(e.shape), bits)))
    throw Error(fmt::format("tensor '{}': bits are set after its last element", e.name));
  if (!dtype) {
    out.carried.push_back({e.name, e.element, e.shape, storage});
    return;
  }
  const Tensor tensor(
      std::make_shared<const Value>(Value{storage, 0, *dtype, e.shape, contiguous_strides(e.shape)}));
  out.tensors.add(e.name, tensor);
}

// ---- writing ----

struct Piece {
  std::string name;
  const Dtype* dtype = nullptr;
  Shape shape;
  int bits = 0;
  std::shared_ptr<Storage> storage;  // row-major
  std::span<const std::byte> bytes;
};

Piece piece_of(const std::string& name, ElementKind element, const Shape& shape) {
  const auto known =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) { return d.element == element; });
  if (known == kDtypes.end())
    throw DTypeError(fmt::format("safetensors: tensor '{}' is {}, which it has no name for", name,
                                 info_of(element)->name));
  return {name, &*known, shape, info_of(element)->bits, {}, {}};
}

std::vector<Piece> pieces_of(const Container& container) {
  Trace::forbid_reading("save");
  std::vector<Piece> pieces;
  for (const auto& [name, tensor] : container.tensors) {
    const NoGrad guard;
    const Tensor plain = contiguous(tensor.detach().to(kCpu));
    Piece piece = piece_of(name, element_of(tensor.dtype()), tensor.shape());
    piece.storage = plain.value().storage;
    piece.bytes = {plain.view().as<const std::byte>(), plain.spec().bytes()};
    pieces.push_back(std::move(piece));
  }
  for (const Carried& c : container.carried) {
    Piece piece = piece_of(c.name, c.element, c.shape);
    if (numel(c.shape) * piece.bits % 8 != 0)
      throw Error(fmt::format("safetensors: tensor '{}' of shape {} does not fill its last byte", c.name,
                              to_string(c.shape)));
    piece.storage = c.bytes;
    piece.bytes = {c.bytes->data(), c.bytes->bytes()};
    pieces.push_back(std::move(piece));
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
  return pieces;
}

// {"name":value,...}, in that order, which nlohmann's objects do not keep.
class Object {
 public:
  void add(const std::string& name, const std::string& value) {
    text_ += fmt::format("{}{}:{}", text_.empty() ? "" : ",", Json(name).dump(), value);
  }
  bool empty() const { return text_.empty(); }
  std::string text() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string header_of(const Container& container, const std::vector<Piece>& pieces) try {
  Object header, strings;
  if (const auto* meta = std::get_if<MetaMap>(&container.meta.value()))
    for (const auto& [key, value] : *meta)
      if (const auto* text = std::get_if<std::string>(&value.value())) strings.add(key, Json(*text).dump());
  if (!strings.empty()) header.add("__metadata__", strings.text());
  uint64_t at = 0;
  std::unordered_set<std::string_view> names{"__metadata__"};
  for (const Piece& p : pieces) {
    if (!names.insert(p.name).second)
      throw Error(fmt::format("safetensors: '{}' cannot be a tensor's name, or is one twice", p.name));
    header.add(p.name, fmt::format(R"({{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", p.dtype->name,
                                   fmt::join(p.shape, ","), at, at + p.bytes.size()));
    at += p.bytes.size();
  }
  std::string text = header.text();
  text.resize(round_up(text.size(), kAlignment), ' ');
  if (text.size() > kMostHeaderBytes) throw Error("safetensors: the header is above 100 MB");
  return text;
} catch (const Json::exception& e) {  // a name that is not UTF-8
  throw Error(fmt::format("safetensors: a name cannot be written as JSON: {}", e.what()));
}

}  // namespace

bool is_safetensors(const Source& source) {
  std::array<char, kLengthBytes + 1> begin{};
  const auto there = std::span(begin).first(std::min<uint64_t>(begin.size(), source.size()));
  source.read_at(0, std::as_writable_bytes(there));
  if (begin[kLengthBytes] == '{') return true;
  return source.name().ends_with(".safetensors") && !std::string_view(begin.data() + 1).starts_with("VRV");
}

namespace {

Container read_from(const SourcePtr& source, std::span<std::byte> memory) {
  const uint64_t size = source->size(), length = header_bytes(*source);
  const auto fail = [&](uint64_t at, const std::string& found) {
    throw FormatError(source->name(), at, found);
  };
  if (length > kMostHeaderBytes || length > size - kLengthBytes)
    fail(0, fmt::format("a header of {} bytes in a file of {}; at most 100 MB can be right", length, size));
  std::string text(length, '\0');
  source->read_at(kLengthBytes, std::as_writable_bytes(std::span(text)));
  const uint64_t data = kLengthBytes + length;
  Container out{"state_dict", {}, {}, {}, {}};
  try {
    if (!text.starts_with('{')) throw Error("the header does not begin with '{'");
    for (const Entry& e : entries_from(parse(text), size - data, out.meta)) {
      add(e, storage_of(e, source, data + e.begin, memory), out);
    }
  } catch (const FormatError&) {
    throw;
  } catch (const IoError&) {
    throw;
  } catch (const Error& e) {
    fail(kLengthBytes, e.what());
  }
  return out;
}

void write_pieces(Sink& sink, const std::string& header, const std::vector<Piece>& pieces) {
  const uint64_t length = header.size();
  sink.write(std::as_bytes(std::span(&length, 1)));
  sink.write(std::as_bytes(std::span(header)));
  for (const Piece& p : pieces) sink.write(p.bytes);
}

}  // namespace

Container read_safetensors(const SourcePtr& source) { return read_from(source, {}); }
Container map_safetensors(const SourcePtr& source) { return read_from(source, source->memory()); }

void write_safetensors(Sink& sink, const Container& container) {
  const std::vector<Piece> pieces = pieces_of(container);
  write_pieces(sink, header_of(container, pieces), pieces);
}

void write_safetensors(const std::string& path, const Container& container) {
  const std::vector<Piece> pieces = pieces_of(container);
  const std::string header = header_of(container, pieces);
  uint64_t bytes = kLengthBytes + header.size();
  for (const Piece& p : pieces) bytes += p.bytes.size();
  durable_write(path, {bytes}, [&](Sink& sink) { write_pieces(sink, header, pieces); });
}

}  // namespace varve::io
