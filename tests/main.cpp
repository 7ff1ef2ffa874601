#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#define DOCTEST_CONFIG_IMPLEMENT  // also where the header was precompiled
#include <doctest/doctest.h>

// The address sanitizer asks for this: memory that cannot be had is an error that tests look for.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1:malloc_context_size=10";
}
