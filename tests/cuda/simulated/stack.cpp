#include "tests/cuda/simulated/stack.h"

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define VARVE_SWITCHES_ARE_TOLD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VARVE_SWITCHES_ARE_TOLD 1
#endif
#endif
#if defined(VARVE_SWITCHES_ARE_TOLD)
#include <sanitizer/common_interface_defs.h>
#endif

// Where there is no swapcontext of ours, which asks the kernel nothing, that of the C library does.
#if defined(__x86_64__)
extern "C" void varve_switch(void** left, void* to);
asm(R"(
  .text
  .type varve_switch, @function
varve_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size varve_switch, . - varve_switch
)");
#endif

namespace varve::simulated {
namespace {

constexpr size_t kBytes = size_t{128} << 10;

}  // namespace

Stack::Stack(void (*entry)()) : memory_(new std::byte[kBytes]), bottom_(memory_.get()), size_(kBytes) {
#if defined(__x86_64__)
  constexpr size_t kKept = 6;  // registers
  const uintptr_t end = reinterpret_cast<uintptr_t>(memory_.get() + kBytes) / 16 * 16;
  auto* const top = reinterpret_cast<uintptr_t*>(end) - 2;  // as if `entry` had been called
  *top = reinterpret_cast<uintptr_t>(entry);
  for (size_t i = 1; i <= kKept; ++i) top[-static_cast<ptrdiff_t>(i)] = 0;
  left_ = top - kKept;
#else
  getcontext(&left_);
  left_.uc_stack.ss_sp = memory_.get(), left_.uc_stack.ss_size = kBytes;
  makecontext(&left_, entry, 0);
#endif
}

void Stack::switch_to(Stack& other) {
#if defined(VARVE_SWITCHES_ARE_TOLD)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, other.bottom_, other.size_);
#endif
#if defined(__x86_64__)
  varve_switch(&left_, other.left_);
#else
  swapcontext(&left_, &other.left_);
#endif
#if defined(VARVE_SWITCHES_ARE_TOLD)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void Stack::arrive_from([[maybe_unused]] Stack& other) {
#if defined(VARVE_SWITCHES_ARE_TOLD)
  __sanitizer_finish_switch_fiber(nullptr, &other.bottom_, &other.size_);
#endif
}

}  // namespace varve::simulated
