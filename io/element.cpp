// The one table of kinds, by number.
#include <varve/io/element.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include <varve/core/error.h>

namespace varve::io {
namespace {

constexpr std::array kKinds{
    ElementInfo{},
    ElementInfo{"f32", 32, 4, DType::f32},
    ElementInfo{"f64", 64, 8, DType::f64},
    ElementInfo{"f16", 16, 2, DType::f16},
    ElementInfo{"bf16", 16, 2, DType::bf16},
    ElementInfo{"i8", 8, 1, DType::i8},
    ElementInfo{"i16", 16, 2, DType::i16},
    ElementInfo{"i32", 32, 4, DType::i32},
    ElementInfo{"i64", 64, 8, DType::i64},
    ElementInfo{"u8", 8, 1, DType::u8},
    ElementInfo{"u16", 16, 2, DType::u16},
    ElementInfo{"u32", 32, 4, DType::u32},
    ElementInfo{"u64", 64, 8, DType::u64},
    ElementInfo{"bool", 8, 1, DType::boolean},
    ElementInfo{"complex64", 64, 4, {}},
    ElementInfo{"complex128", 128, 8, {}},
    ElementInfo{"f8_e4m3fn", 8, 1, {}},
    ElementInfo{"f8_e5m2", 8, 1, {}},
    ElementInfo{"f8_e4m3fnuz", 8, 1, {}},
    ElementInfo{"f8_e5m2fnuz", 8, 1, {}},
    ElementInfo{"f8_e8m0fnu", 8, 1, {}},
    ElementInfo{"f6_e2m3fn", 6, 1, {}},
    ElementInfo{"f6_e3m2fn", 6, 1, {}},
    ElementInfo{"f4_e2m1fn", 4, 1, {}},
    ElementInfo{"i4", 4, 1, {}},
    ElementInfo{"u4", 4, 1, {}},
};

}  // namespace

const ElementInfo* info_of(ElementKind kind) {
  const auto number = static_cast<size_t>(kind);
  return number > 0 && number < kKinds.size() ? &kKinds[number] : nullptr;
}

ElementKind element_of(DType dtype) { return *element_named(varve::name_of(dtype)); }

DType computed_dtype(ElementKind kind, std::string_view name, std::string_view file) {
  const ElementInfo& info = *info_of(kind);
  if (!info.dtype)
    throw DTypeError(
        fmt::format("load: tensor '{}' in {} is {}, which is carried but not computed with; load the others "
                    "by their names",
                    name, file, info.name));
  return *info.dtype;
}

std::optional<ElementKind> element_named(std::string_view name) {
  for (size_t i = 1; i < kKinds.size(); ++i)
    if (kKinds[i].name == name) return static_cast<ElementKind>(i);
  return {};
}

bool are_truths(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b <= std::byte{1}; });
}

}  // namespace varve::io
