#include <varve/core/cpu/level.h>

#include <fmt/format.h>

#include <atomic>

#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/processor.h>
#include <varve/core/dtype.h>
#include <varve/core/error.h>

// The tables, one from each build of the kernels (cmake/kernels.cmake); a build may leave some out. The first
// two are of one loop, for bf16.
extern "C" const varve::cpu::Gemm* varve_kernels_x86_64_v4_amx();
extern "C" const varve::cpu::Gemm* varve_kernels_x86_64_v4_bf16();
extern "C" const varve::cpu::Kernels* varve_kernels_x86_64_v2();
extern "C" const varve::cpu::Kernels* varve_kernels_x86_64_v3();
extern "C" const varve::cpu::Kernels* varve_kernels_x86_64_v4();
extern "C" const varve::cpu::Kernels* varve_kernels_generic();

namespace varve::cpu {
namespace {

struct Level {
  std::string_view name;
  const Kernels* (*table)();
  int needs;  // of x86_64_level

  bool supported() const { return x86_64_level(this_processor()) >= needs; }
};

#if defined(VARVE_LEVEL_x86_64_v4)
// That of v4 but for products of bf16.
template <const Gemm* (*kProduct)()>
const Kernels* x86_64_v4_and() {
  static const Kernels table = [] {
    Kernels t = *varve_kernels_x86_64_v4();
    t.gemm[static_cast<size_t>(DType::bf16)] = *kProduct();
    return t;
  }();
  return &table;
}
#endif

constexpr Level kLevels[] = {
#if defined(VARVE_LEVEL_x86_64_v4)
    {"x86-64-v4-amx", x86_64_v4_and<varve_kernels_x86_64_v4_amx>, 6},
    {"x86-64-v4-bf16", x86_64_v4_and<varve_kernels_x86_64_v4_bf16>, 5},
    {"x86-64-v4", varve_kernels_x86_64_v4, 4},
#endif
#if defined(VARVE_LEVEL_x86_64_v3)
    {"x86-64-v3", varve_kernels_x86_64_v3, 3},
#endif
#if defined(VARVE_LEVEL_x86_64_v2)
    {"x86-64-v2", varve_kernels_x86_64_v2, 2},
#endif
#if defined(VARVE_LEVEL_generic)
    {"generic", varve_kernels_generic, 0},
#endif
};

const Level* best() {
  for (const Level& l : kLevels)
    if (l.supported()) return &l;
  throw Error(
      "cpu: no instruction set of this build suits the processor; configure with -DVARVE_CPU_LEVELS=generic");
}

std::atomic<const Level*>& in_use() {
  static std::atomic<const Level*> instance{best()};
  return instance;
}

}  // namespace

std::vector<std::string> levels() {
  std::vector<std::string> names;
  for (const Level& l : kLevels)
    if (l.supported()) names.emplace_back(l.name);
  return names;
}

std::string level() { return std::string(in_use().load()->name); }

void set_level(std::string_view name) {
  for (const Level& l : kLevels)
    if (l.name == name && l.supported()) {
      in_use() = &l;
      return;
    }
  throw Error(
      fmt::format("cpu: level '{}' is not available; this process has {}", name, fmt::join(levels(), ", ")));
}

const Kernels& kernels() { return *in_use().load(std::memory_order_relaxed)->table(); }

}  // namespace varve::cpu
