#include <varve/core/index_range.h>

#include <fmt/format.h>

#include <varve/core/error.h>

namespace varve {

void IndexRange::refuse(int64_t found) const {
  if (!from_end)
    throw ShapeError(
        fmt::format("{}: target {} found; required is one of the classes 0 to {}", op, found, size - 1));
  throw ShapeError(size == 0 ? fmt::format("{}: index {} for an axis without elements", op, found)
                             : fmt::format("{}: index {} for an axis of size {}; required is {} to {}", op,
                                           found, size, -size, size - 1));
}

}  // namespace varve
