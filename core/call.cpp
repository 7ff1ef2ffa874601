#include <varve/core/call.h>

#include <fmt/format.h>

namespace varve::detail {

void wrong_inputs(size_t found, size_t required) {
  throw Error(fmt::format("model: {} inputs given, {} required", found, required));
}

}  // namespace varve::detail
