// What an error said, for tests that read messages.
#pragma once
#include <string>
#include <string_view>

#include <varve/core/error.h>

// The message of what f throws as an E, or a remark that it threw none.
template <class E = varve::Error, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing was thrown";
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
