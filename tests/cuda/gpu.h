// The GPU that these tests run on.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <varve/core/backend.h>
#include <varve/core/error.h>

namespace varve::test {

// Whether it is simulated: slow, and nothing needs to be large there to be under way beside something else.
inline constexpr bool kSimulated = VARVE_SIMULATED;

// The dtypes of floats that tests of many products take there: all, or a wide and a narrow one.
inline std::vector<DType> some_floatings() {
  if (kSimulated) return {DType::f32, DType::bf16};
  return {DType::f32, DType::f64, DType::f16, DType::bf16};
}

// Its backend; null where there is none, and then the test says that it is skipped, and why.
inline Backend* gpu() {
  if (kSimulated) return &backend_for(kCuda);
  try {
    return &backend_for(kCuda);
  } catch (const DeviceError& e) {
    const std::string why = e.what();
    MESSAGE("skipped: " << why);
    return nullptr;
  }
}

}  // namespace varve::test
