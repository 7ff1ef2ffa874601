// How a number of one type becomes one of another, on every backend.
#pragma once

#include <limits>
#include <type_traits>

#include <varve/core/export.h>

namespace varve {

// To floating types: to nearest. From floating to integer: truncated, saturated, NaN to 0. Between integers:
// wrapped.
template <class To, class From>
VARVE_HD To converted(From x) {
  if constexpr (std::is_same_v<To, From>)
    return x;
  else if constexpr (std::is_same_v<To, bool>)
    return x != From(0);
  else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    constexpr From kLow = static_cast<From>(std::numeric_limits<To>::min());
    constexpr From kHigh =
        static_cast<From>(std::numeric_limits<To>::max() / 2 + 1) * From(2);  // max + 1, exact
    return !(x > kLow)  ? (x == x ? std::numeric_limits<To>::min() : To(0))
           : x >= kHigh ? std::numeric_limits<To>::max()
                        : static_cast<To>(x);
  } else
    return static_cast<To>(x);
}

}  // namespace varve
