#include <varve/bench/level_peers.h>
#include <varve/core/cpu/level.h>

#if defined(BENCH_X86_LEVELS)
extern "C" const bench::Peers bench_peers_x86_64_v2, bench_peers_x86_64_v3, bench_peers_x86_64_v4;
#else
extern "C" const bench::Peers bench_peers_generic;
#endif

namespace bench {

const Peers& peers() {
#if defined(BENCH_X86_LEVELS)
  const std::string level = varve::cpu::level();
  return level == "x86-64-v4"   ? bench_peers_x86_64_v4
         : level == "x86-64-v3" ? bench_peers_x86_64_v3
                                : bench_peers_x86_64_v2;
#else
  return bench_peers_generic;
#endif
}

}  // namespace bench
