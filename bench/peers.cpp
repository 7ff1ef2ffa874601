#include <varve/bench/level_peers.h>
#include <varve/core/cpu/level.h>
#include <varve/core/error.h>

extern "C" const bench::Peers bench_peers_x86_64_v2, bench_peers_x86_64_v3, bench_peers_x86_64_v4,
    bench_peers_generic;

namespace bench {

const Peers& peers() {
  [[maybe_unused]] const std::string level = varve::cpu::level();
#if defined(BENCH_LEVEL_x86_64_v4)
  if (level.starts_with("x86-64-v4")) return bench_peers_x86_64_v4;
#endif
#if defined(BENCH_LEVEL_x86_64_v3)
  if (level == "x86-64-v3") return bench_peers_x86_64_v3;
#endif
#if defined(BENCH_LEVEL_x86_64_v2)
  if (level == "x86-64-v2") return bench_peers_x86_64_v2;
#endif
#if defined(BENCH_LEVEL_generic)
  return bench_peers_generic;
#else
  throw varve::Error("bench: no peers for this level");
#endif
}

}  // namespace bench
