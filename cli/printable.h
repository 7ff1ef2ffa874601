// What a file says, made fit for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace varve::cli {

// `text`, UTF-8, with its control characters as JSON would escape them: a file must not move the cursor, or
// make one line two. Line ends stay where `lines`.
std::string printable(std::string_view text, bool lines = false);

}  // namespace varve::cli
