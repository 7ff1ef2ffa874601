#include <varve/core/error.h>

#include <fmt/format.h>

#include <system_error>

namespace varve {

IoError::IoError(std::string path, int code, const std::string& operation)
    : Error(fmt::format("{}: {} ({})", path, operation, std::generic_category().message(code))),
      path_(std::move(path)),
      code_(code) {}

FormatError::FormatError(std::string path, uint64_t offset, const std::string& found)
    : Error(fmt::format("{}: at byte {}: {}", path, offset, found)),
      path_(std::move(path)),
      offset_(offset) {}

}  // namespace varve
