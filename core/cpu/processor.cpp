#include <varve/core/cpu/processor.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace varve::cpu {

Processor this_processor() {
  Processor p{};
#if defined(__x86_64__)
  uint32_t unused;
  __get_cpuid(1, &unused, &unused, &p.leaf1, &unused);
  __get_cpuid_count(7, 0, &unused, &p.leaf7, &unused, &unused);
  __get_cpuid_count(7, 1, &p.leaf7_1, &unused, &unused, &unused);
  __get_cpuid(0x80000001, &unused, &unused, &p.extended, &unused);
  if (p.leaf1 & bit_OSXSAVE) __asm__("xgetbv" : "=a"(p.saved), "=d"(unused) : "c"(0));
#endif
  return p;
}

// By the table "Micro-Architecture Levels" of the psABI.
int x86_64_level(const Processor& p) {
#if defined(__x86_64__)
  constexpr Processor kNeeds[] = {
      {.leaf1 = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B,
       .extended = bit_LAHF_LM},
      {.leaf1 = bit_AVX | bit_FMA | bit_F16C | bit_MOVBE | bit_OSXSAVE,
       .leaf7 = bit_AVX2 | bit_BMI | bit_BMI2,
       .extended = bit_LZCNT,
       .saved = 0x6},  // XMM, YMM
      {.leaf7 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL,
       .saved = 0xe0},       // masks, ZMM
      {.leaf7_1 = 1u << 5},  // AVX512-BF16
  };
  int level = 1;
  for (const Processor& n : kNeeds) {
    if ((n.leaf1 & ~p.leaf1) | (n.leaf7 & ~p.leaf7) | (n.leaf7_1 & ~p.leaf7_1) | (n.extended & ~p.extended) |
        (n.saved & ~p.saved))
      break;
    ++level;
  }
  return level;
#else
  static_cast<void>(p);
  return 1;
#endif
}

}  // namespace varve::cpu
