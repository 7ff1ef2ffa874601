# What most sources include, parsed once: a fourth of the time to compile. Where it is so, a source that lacks an #include
# does not show. Sources with options of their own stay out.
set(precompiled <algorithm> <array> <cmath> <cstring> <filesystem> <functional> <map> <memory> <mutex> <random> <set> <span>
  <string> <thread> <unordered_map> <variant> <vector> <fmt/format.h>)
foreach(header graph.h plan.h record.h ops/copy.h ops/make.h ops/pointwise.h ops/reduce.h ops/views.h)
  list(APPEND precompiled <varve/core/${header}>)
endforeach()
set(CMAKE_PCH_PROLOGUE "")  # of our headers clang shall warn
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(undated "SHELL:-Xclang -fno-pch-timestamp")  # for ccache
endif()
function(precompile target)
  target_precompile_headers(${target} ${ARGN})
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${undated}>")
endfunction()
precompile(varve PRIVATE ${precompiled})
if(VARVE_TESTS)
  precompile(varve_test_main PRIVATE ${precompiled} <doctest/doctest.h>)
  foreach(folder core nn optim io data cuda crash)
    precompile(test_${folder} REUSE_FROM varve_test_main)
  endforeach()
endif()
