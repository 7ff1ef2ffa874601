// Meta: what a file says beside its tensors. A closed set of values, none of them executable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <varve/core/export.h>

namespace varve::io {

class Meta;
using MetaList = std::vector<Meta>;
// In the order it was filled; keys are unique.
using MetaMap = std::vector<std::pair<std::string, Meta>>;
using Bytes = std::vector<std::byte>;

class VARVE_API Meta {
 public:
  using Variant = std::variant<std::monostate, bool, int64_t, double, std::string, Bytes, MetaList, MetaMap>;

  Meta() = default;  // null
  Meta(bool v) : value_(v) {}
  Meta(int v) : value_(int64_t{v}) {}
  Meta(int64_t v) : value_(v) {}
  Meta(double v) : value_(v) {}
  Meta(std::string v) : value_(std::move(v)) {}
  Meta(std::string_view v) : value_(std::string(v)) {}
  Meta(const char* v) : value_(std::string(v)) {}
  Meta(Bytes v) : value_(std::move(v)) {}
  Meta(MetaList v) : value_(std::move(v)) {}
  Meta(MetaMap v) : value_(std::move(v)) {}

  const Variant& value() const { return value_; }
  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }

  // The value as that type; an Error saying what was found when it is another.
  bool as_bool() const;
  int64_t as_int() const;
  double as_double() const;
  const std::string& as_string() const;
  const Bytes& as_bytes() const;
  const MetaList& as_list() const;
  const MetaMap& as_map() const;

  // Of a map: the value at `key`, an Error when it is missing; null makes find return nullptr.
  const Meta& at(std::string_view key) const;
  const Meta* find(std::string_view key) const;
  // Of a map (null becomes an empty one): sets or replaces.
  void set(std::string key, Meta value);

  bool operator==(const Meta& other) const;

 private:
  Variant value_;
};

inline constexpr int kMetaMaxDepth = 64;
// An encoded value holds at most this many values, and one more for each 8 bytes: no small file fills memory.
inline constexpr uint64_t kMetaFreeValues = 65536;

// The bytes of a value, as docs/format.md specifies them; the same value gives the same bytes.
VARVE_API Bytes encode(const Meta& meta);
// The value of exactly these bytes. An Error for anything else: depth over kMetaMaxDepth, lengths beyond the
// bytes, duplicate keys, unknown kinds, bytes left over. Never allocates more than a small multiple of the
// bytes.
VARVE_API Meta decode(std::span<const std::byte> bytes);

// As indented text for people.
VARVE_API std::string to_string(const Meta& meta);

}  // namespace varve::io
