#include "printable.h"

#include <fmt/format.h>

namespace varve::cli {

std::string printable(std::string_view text, bool lines) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (lines && c == '\n')
      out += '\n';
    else if (c < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", c);
    else if (c == 0xc2 && next >= 0x80 && next < 0xa0)  // U+0080 to U+009F
      out += fmt::format("\\u{:04x}", next), ++i;
    else
      out += text[i];
  }
  return out;
}

}  // namespace varve::cli
