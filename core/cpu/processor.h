// Which level of x86-64 a processor is of, with the system it runs.
#pragma once

#include <cstdint>

#include <varve/core/export.h>

namespace varve::cpu {

// What CPUID and XGETBV say of a processor: leaf 1 ECX, leaf 7 EBX and EDX, leaf 7.1 EAX, leaf 0x80000001
// ECX, and the registers that the system saves, for this process.
struct Processor {
  uint32_t leaf1, leaf7, leaf7_edx, leaf7_1, extended, saved;
};

// All 0 but on x86-64. Asks Linux for the tiles of AMX, which it gives only to processes that ask, and which
// then may not have alternate signal stacks too small for them; where it refuses they are not among what is
// saved.
VARVE_API Processor this_processor();
VARVE_API int x86_64_level(const Processor& p);  // 1 to 4 by the psABI; 5: AVX512-BF16 besides; 6: AMX-BF16

}  // namespace varve::cpu
