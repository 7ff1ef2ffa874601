#include <varve/core/op.h>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <typeinfo>

#include <varve/core/ops/list.h>

namespace varve {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, OpMaker, std::less<>> makers;
};

Registry& registry() {
  static Registry instance{
      {}, [] {
        std::map<std::string, OpMaker, std::less<>> makers;
        for_each_type(AllOps{}, [&]<class T>() { makers.emplace(std::string(T::name.name), op_maker<T>()); });
        return makers;
      }()};
  return instance;
}

// Throws where the name, or so new a version, is not known.
OpMaker maker_of(std::string_view name, int version) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto found = r.makers.find(name);
  if (found == r.makers.end())
    throw Error(
        fmt::format("op '{}' is not known to this program; if it is your own, call register_op first", name));
  const OpMaker maker = found->second;
  if (version < 1 || version > maker.version)
    throw Error(fmt::format("op '{}': version {} found, this program knows 1 to {}; update varve", name,
                            version, maker.version));
  return maker;
}

std::string attribute_text(const Attribute& attribute) {
  return std::visit(
      []<class T>(const T& value) -> std::string {
        if constexpr (std::is_same_v<T, Dims>)
          return to_string(value);
        else
          return fmt::format("{}", value);
      },
      attribute);
}

}  // namespace

void require_inputs(const Specs& in, size_t count, std::string_view op) {
  if (in.size() != count)
    throw ShapeError(fmt::format("{}: {} inputs found, {} required", op, in.size(), count));
}

void register_op(std::string_view name, OpMaker maker) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto [found, added] = r.makers.emplace(name, maker);
  if (!added && found->second.make != maker.make)
    throw Error(fmt::format("register_op: '{}' is registered already; choose another name", name));
}

void require_op(std::string_view name, int version) { maker_of(name, version); }

OpPtr make_op(std::string_view name, int version, const Attributes& attributes) {
  const OpMaker maker = maker_of(name, version);
  return maker.make(version == maker.version ? attributes : maker.upgrade(version, attributes));
}

bool same_op(const AnyOp& a, const AnyOp& b) {
  return typeid(a) == typeid(b) &&
         std::ranges::equal(a.attributes(), b.attributes(), [](const auto& x, const auto& y) {
           const double *p = std::get_if<double>(&x.second), *q = std::get_if<double>(&y.second);
           return x.first == y.first && (p && q ? std::bit_cast<uint64_t>(*p) == std::bit_cast<uint64_t>(*q)
                                                : x.second == y.second);
         });
}

std::string to_string(const AnyOp& op) {
  std::string out(op.name().name);
  out += '(';
  for (const auto& [name, value] : op.attributes())
    out += fmt::format("{}{}={}", out.back() == '(' ? "" : ", ", name, attribute_text(value));
  return out + ')';
}

const Attribute& attribute_named(const Attributes& attributes, const char* name) {
  for (const auto& [key, value] : attributes)
    if (key == name) return value;
  throw Error(fmt::format("op: attribute '{}' is missing", name));
}

void wrong_attribute_type(const char* name) {
  throw Error(fmt::format("op: attribute '{}' has another type", name));
}

}  // namespace varve
