// crash_states N [SEED]: tries crashes of every scenario until N distinct states were seen; exits with 1 if
// one of them left neither the old file nor the new one.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "scenarios.h"

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: crash_states N [SEED]\n");
    return 2;
  }
  const uint64_t wanted = std::strtoull(argv[1], nullptr, 10);
  uint64_t seed = argc > 2
                      ? std::strtoull(argv[2], nullptr, 10)
                      : static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  varve::test::Findings found;
  while (found.states.size() < wanted && found.violations == 0) varve::test::explore(found, seed += 1000, 8);
  std::printf("%zu scenarios, %llu crashes, %zu distinct states, %llu violations\n",
              varve::test::scenarios().size(), static_cast<unsigned long long>(found.crashes),
              found.states.size(), static_cast<unsigned long long>(found.violations));
  if (found.violations) std::printf("first: %s\n", found.first.c_str());
  return found.violations ? 1 : 0;
}
