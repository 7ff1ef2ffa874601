// What drivers refuse: nvcc does not take the library that words it.
#include <fmt/format.h>

#include <varve/core/error.h>
#include <varve/cuda/drivers.h>

namespace varve::cuda {

void refuse_index(const char* op, int64_t found, int64_t size) {
  throw ShapeError(size == 0 ? fmt::format("{}: index {} for an axis without elements", op, found)
                             : fmt::format("{}: index {} for an axis of size {}; required is {} to {}", op,
                                           found, size, -size, size - 1));
}

}  // namespace varve::cuda
