#include <varve/core/cpu/processor.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace varve::cpu {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kTiles = 0x6'0000;  // their configuration and their data

// Whether this process may use tiles: for good, and all its threads, once the system has said so.
bool tiles_granted() {
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // of arch_prctl
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

}  // namespace

Processor this_processor() {
  Processor p{};
#if defined(__x86_64__)
  uint32_t unused;
  __get_cpuid(1, &unused, &unused, &p.leaf1, &unused);
  __get_cpuid_count(7, 0, &unused, &p.leaf7, &unused, &p.leaf7_edx);
  __get_cpuid_count(7, 1, &p.leaf7_1, &unused, &unused, &unused);
  __get_cpuid(0x80000001, &unused, &unused, &p.extended, &unused);
  if (p.leaf1 & bit_OSXSAVE) __asm__("xgetbv" : "=a"(p.saved), "=d"(unused) : "c"(0));
  if ((p.saved & kTiles) && !tiles_granted()) p.saved &= ~kTiles;
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
       .saved = 0xe0},                                      // masks, ZMM
      {.leaf7_1 = 1u << 5},                                 // AVX512-BF16
      {.leaf7_edx = 1u << 22 | 1u << 24, .saved = kTiles},  // AMX-BF16, AMX-TILE
  };
  int level = 1;
  for (const Processor& n : kNeeds) {
    if ((n.leaf1 & ~p.leaf1) | (n.leaf7 & ~p.leaf7) | (n.leaf7_edx & ~p.leaf7_edx) |
        (n.leaf7_1 & ~p.leaf7_1) | (n.extended & ~p.extended) | (n.saved & ~p.saved))
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
