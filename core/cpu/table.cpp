// One level's table. VARVE_LEVEL names it: generic, x86_64_v2, x86_64_v3 or x86_64_v4.
#include <varve/core/cpu/kernels.h>

extern "C" const varve::cpu::Kernels* VARVE_LEVEL_TABLE();

const varve::cpu::Kernels* VARVE_LEVEL_TABLE() {
  using namespace varve::cpu;
  static const Kernels table = [] {
    Kernels t{};
    fill_pointwise(t);
    fill_conversions(t);
    fill_reductions(t);
    fill_rows(t);
    fill_random(t);
    fill_gemm(t);
    return t;
  }();
  return &table;
}
