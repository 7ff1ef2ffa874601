// crash_states N [SEED]: tries crashes of every scenario until N distinct states were seen; exits with 1 if
// one of them left neither the old file nor the new one.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>

#include "scenarios.h"

namespace {

std::optional<uint64_t> number(std::string_view text) {
  uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return n;
}

}  // namespace

int main(int argc, char** argv) {
  const auto now = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  const auto wanted = argc == 2 || argc == 3 ? number(argv[1]) : std::nullopt;
  const auto first = argc == 3 ? number(argv[2]) : now;
  if (!wanted || *wanted == 0 || !first) {
    std::fprintf(stderr, "usage: crash_states N [SEED]   N is at least 1\n");
    return 2;
  }
  uint64_t seed = *first;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  varve::test::Findings found;
  while (found.states.size() < *wanted && found.violations == 0) varve::test::explore(found, seed += 1000, 8);
  std::printf("%zu scenarios, %llu crashes, %zu distinct states, %llu violations\n",
              varve::test::scenarios().size(), static_cast<unsigned long long>(found.crashes),
              found.states.size(), static_cast<unsigned long long>(found.violations));
  if (found.violations) std::printf("first: %s\n", found.first.c_str());
  return found.violations ? 1 : 0;
}
