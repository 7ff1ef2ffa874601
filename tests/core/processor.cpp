// The level of x86-64 a processor is said to be of, feature by feature.
#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include <varve/core/cpu/processor.h>

using namespace varve;

#if defined(__x86_64__)
namespace {

// What each level adds, by the names of /proc/cpuinfo: a word of Processor, and a bit by Intel's
// manual.
struct Feature {
  int level;
  const char* name;
  uint32_t cpu::Processor::*word;
  int bit;
};
using P = cpu::Processor;
const Feature kFeatures[] = {
    {2, "pni", &P::leaf1, 0},
    {2, "ssse3", &P::leaf1, 9},
    {2, "cx16", &P::leaf1, 13},
    {2, "sse4_1", &P::leaf1, 19},
    {2, "sse4_2", &P::leaf1, 20},
    {2, "popcnt", &P::leaf1, 23},
    {2, "lahf_lm", &P::extended, 0},
    {3, "fma", &P::leaf1, 12},
    {3, "movbe", &P::leaf1, 22},
    {3, "xsave", &P::leaf1, 27},
    {3, "avx", &P::leaf1, 28},
    {3, "f16c", &P::leaf1, 29},
    {3, "bmi1", &P::leaf7, 3},
    {3, "avx2", &P::leaf7, 5},
    {3, "bmi2", &P::leaf7, 8},
    {3, "abm", &P::extended, 5},
    {3, "", &P::saved, 1},
    {3, "", &P::saved, 2},
    {4, "avx512f", &P::leaf7, 16},
    {4, "avx512dq", &P::leaf7, 17},
    {4, "avx512cd", &P::leaf7, 28},
    {4, "avx512bw", &P::leaf7, 30},
    {4, "avx512vl", &P::leaf7, 31},
    {4, "", &P::saved, 5},
    {4, "", &P::saved, 6},
    {4, "", &P::saved, 7},
    {5, "avx512_bf16", &P::leaf7_1, 5},
    {6, "amx_bf16", &P::leaf7_edx, 22},
    {6, "amx_tile", &P::leaf7_edx, 24},
    {6, "", &P::saved, 17},
    {6, "", &P::saved, 18},
};

}  // namespace

TEST_CASE("a processor is of the level below that of any feature it lacks") {
  for (int level = 1; level <= 6; ++level) {
    P p{};
    for (const Feature& f : kFeatures)
      if (f.level <= level) p.*f.word |= 1u << f.bit;
    CHECK(cpu::x86_64_level(p) == level);
  }
  for (const Feature& f : kFeatures) {
    P p{~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
    CHECK(cpu::x86_64_level(p) == 6);
    p.*f.word &= ~(1u << f.bit);
    CAPTURE(f.name);
    CAPTURE(f.bit);
    CHECK(cpu::x86_64_level(p) == f.level - 1);
  }
}

TEST_CASE("this processor has the features that the system lists") {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    const P p = cpu::this_processor();
    line += ' ';
    for (const Feature& f : kFeatures) {
      if (!*f.name) continue;
      CAPTURE(f.name);
      const bool listed = line.find(' ' + std::string(f.name) + ' ') != std::string::npos;
      CHECK(((p.*f.word >> f.bit & 1u) != 0) == listed);
    }
    return;
  }
  MESSAGE("not checked: /proc/cpuinfo lists no flags");
}
#endif
