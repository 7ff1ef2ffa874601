#include <varve/core/dtype.h>

#include <fmt/format.h>

#include <varve/core/error.h>

namespace varve {
namespace {
constexpr std::array<std::string_view, kDTypes> kNames{"f32", "f64", "f16", "bf16", "i8",  "i16", "i32",
                                                       "i64", "u8",  "u16", "u32",  "u64", "bool"};
}

std::string_view name_of(DType dtype) { return kNames[static_cast<size_t>(dtype)]; }

DType dtype_named(std::string_view name) {
  for (size_t i = 0; i < kDTypes; ++i)
    if (kNames[i] == name) return static_cast<DType>(i);
  throw DTypeError(
      fmt::format("dtype: no element type is named '{}'; known are {}", name, fmt::join(kNames, ", ")));
}

}  // namespace varve
