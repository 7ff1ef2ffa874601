// Meta's accessors, and its bytes: a kind, then lengths, then the value. Equal values have equal bytes.
#include <varve/io/meta.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include <varve/io/bytes.h>

namespace varve::io {
namespace {

// The kind byte. False and true are kinds of their own, so that no byte can hold a third truth.
enum class Kind : uint8_t { null, no, yes, integer, real, string, bytes, list, map };
constexpr size_t kSmallestEntry = 9;  // of a map: the length of an empty key, and a kind byte

const char* type_name(const Meta::Variant& v) {
  static constexpr std::array<const char*, 8> kNames{"null",   "bool",  "int",  "double",
                                                     "string", "bytes", "list", "map"};
  return kNames[v.index()];
}

template <class T>
const T& get(const Meta::Variant& v, const char* wanted) {
  if (const T* found = std::get_if<T>(&v)) return *found;
  throw Error(fmt::format("meta: found {}, required {}", type_name(v), wanted));
}

class Encoder {
 public:
  void value(const Meta& meta, int depth) {
    if (depth > kMetaMaxDepth)
      throw Error(fmt::format("encode: lists and maps nest deeper than {}; flatten them", kMetaMaxDepth));
    std::visit([&](const auto& v) { put(v, depth); }, meta.value());
  }
  Bytes take() {
    Bytes bytes = out_.take();
    if (announced_ > kMetaFreeValues + bytes.size() / 8)
      throw Error(fmt::format("encode: {} values in lists and maps, in {} bytes; keep so many in a tensor",
                              announced_, bytes.size()));
    return bytes;
  }

 private:
  void kind(Kind k) { out_.number(static_cast<uint8_t>(k)); }

  void put(std::monostate, int) { kind(Kind::null); }
  void put(bool v, int) { kind(v ? Kind::yes : Kind::no); }
  void put(int64_t v, int) { kind(Kind::integer), out_.number(v); }
  void put(double v, int) { kind(Kind::real), out_.number(v); }
  void put(const std::string& v, int) { kind(Kind::string), out_.text(v); }
  void put(const Bytes& v, int) { kind(Kind::bytes), out_.counted(v); }
  void put(const MetaList& v, int depth) {
    kind(Kind::list), count(v.size());
    for (const Meta& element : v) value(element, depth + 1);
  }
  void put(const MetaMap& v, int depth) {
    kind(Kind::map), count(v.size());
    std::unordered_set<std::string_view> seen;
    for (const auto& [key, element] : v) {
      if (!seen.insert(key).second) throw Error(fmt::format("encode: key '{}' is given twice", key));
      out_.text(key);
      value(element, depth + 1);
    }
  }

  void count(uint64_t n) { out_.number(n), announced_ += n; }

  ByteWriter out_;
  uint64_t announced_ = 0;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes)
      : in_(bytes), most_(kMetaFreeValues + bytes.size() / 8) {}

  Meta all() {
    Meta meta = value(0);
    if (in_.left()) in_.fail(fmt::format("{} bytes are left over", in_.left()));
    return meta;
  }

 private:
  Meta value(int depth) {
    if (depth > kMetaMaxDepth) in_.fail(fmt::format("lists and maps nest deeper than {}", kMetaMaxDepth));
    const auto kind = in_.number<uint8_t>();
    switch (static_cast<Kind>(kind)) {
      case Kind::null:
        return {};
      case Kind::no:
        return false;
      case Kind::yes:
        return true;
      case Kind::integer:
        return in_.number<int64_t>();
      case Kind::real:
        return in_.number<double>();
      case Kind::string:
        return in_.text();
      case Kind::bytes: {
        const auto bytes = in_.counted();
        return Bytes(bytes.begin(), bytes.end());
      }
      case Kind::list:
        return list(depth);
      case Kind::map:
        return map(depth);
    }
    in_.fail(fmt::format("unknown kind {}", kind));
  }

  // How many values come; what all lists and maps announce together is bounded, so that they may reserve it.
  uint64_t count(size_t each) {
    const uint64_t n = in_.count(each);
    if (n > most_) in_.fail("more values than kMetaFreeValues and an eighth of the bytes");
    most_ -= n;
    return n;
  }
  MetaList list(int depth) {
    MetaList out;
    uint64_t n = count(1);
    for (out.reserve(n); n > 0; --n) out.push_back(value(depth + 1));
    return out;
  }
  MetaMap map(int depth) {
    MetaMap out;
    std::unordered_set<std::string_view> seen;
    uint64_t n = count(kSmallestEntry);
    for (out.reserve(n); n > 0; --n) {
      const std::string_view key = in_.text();
      if (!seen.insert(key).second) in_.fail(fmt::format("key '{}' is given twice", key));
      out.emplace_back(std::string(key), value(depth + 1));
    }
    return out;
  }

  ByteReader in_;
  uint64_t most_;  // values that may still be announced
};

// As in JSON; other bytes than printable ASCII and UTF-8's stand as \x.
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '\n')
      out += "\\n";
    else if (code < 0x20 || code == 0x7f)
      out += fmt::format("\\x{:02x}", code);
    else
      (c == '"' || c == '\\' ? out += '\\' : out) += c;
  }
  return out + '"';
}

bool is_nested(const Meta& meta) {
  return std::holds_alternative<MetaList>(meta.value()) || std::holds_alternative<MetaMap>(meta.value());
}

struct Printer {
  std::string indent;  // of the line the value starts on

  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(int64_t v) const { return std::to_string(v); }
  std::string operator()(double v) const { return fmt::format("{}", v); }
  std::string operator()(const std::string& v) const { return in_quotes(v); }
  std::string operator()(const Bytes& v) const { return fmt::format("<{} bytes>", v.size()); }
  std::string operator()(const MetaList& v) const {
    const bool flat = std::none_of(v.begin(), v.end(), is_nested);
    std::string out;
    for (const Meta& element : v) {
      if (!out.empty()) out += flat ? ", " : ",";
      out += (flat ? "" : "\n" + indent + "  ") + inner(element);
    }
    return "[" + out + (flat ? "]" : "\n" + indent + "]");
  }
  std::string operator()(const MetaMap& v) const {
    if (v.empty()) return "{}";
    std::string out;
    for (const auto& [key, element] : v)
      out += (out.empty() ? "\n" : ",\n") + indent + "  " + in_quotes(key) + ": " + inner(element);
    return "{" + out + "\n" + indent + "}";
  }
  std::string inner(const Meta& meta) const { return std::visit(Printer{indent + "  "}, meta.value()); }
};

}  // namespace

bool Meta::as_bool() const { return get<bool>(value_, "bool"); }
int64_t Meta::as_int() const { return get<int64_t>(value_, "int"); }
double Meta::as_double() const { return get<double>(value_, "double"); }
const std::string& Meta::as_string() const { return get<std::string>(value_, "string"); }
const Bytes& Meta::as_bytes() const { return get<Bytes>(value_, "bytes"); }
const MetaList& Meta::as_list() const { return get<MetaList>(value_, "list"); }
const MetaMap& Meta::as_map() const { return get<MetaMap>(value_, "map"); }

const Meta& Meta::at(std::string_view key) const {
  if (const Meta* found = find(key)) return *found;
  throw Error(fmt::format("meta: key '{}' is missing", key));
}

const Meta* Meta::find(std::string_view key) const {
  for (const auto& [k, element] : as_map())
    if (k == key) return &element;
  return nullptr;
}

void Meta::set(std::string key, Meta value) {
  if (is_null()) value_ = MetaMap();
  as_map();
  auto& map = std::get<MetaMap>(value_);
  const auto found =
      std::find_if(map.begin(), map.end(), [&](const auto& entry) { return entry.first == key; });
  if (found != map.end())
    found->second = std::move(value);
  else
    map.emplace_back(std::move(key), std::move(value));
}

// Doubles compare by their bits: a NaN equals itself, and what is equal has equal bytes.
bool Meta::operator==(const Meta& other) const {
  const auto *a = std::get_if<double>(&value_), *b = std::get_if<double>(&other.value_);
  if (a && b) return std::bit_cast<uint64_t>(*a) == std::bit_cast<uint64_t>(*b);
  return value_ == other.value_;
}

Bytes encode(const Meta& meta) {
  Encoder encoder;
  encoder.value(meta, 0);
  return encoder.take();
}

Meta decode(std::span<const std::byte> bytes) { return Decoder(bytes).all(); }

std::string to_string(const Meta& meta) { return std::visit(Printer{""}, meta.value()); }

}  // namespace varve::io
