# The CPU kernels, compiled once for each instruction set and kept apart: each level's objects become one object whose
# only global symbol is its table, so that no template or inline function of one level can stand in for another's.
set(VARVE_CPU_LEVELS "all" CACHE STRING "all, smallest, or a list of x86_64_v2, x86_64_v3, x86_64_v4, or generic alone")
set(varve_levels ${VARVE_CPU_LEVELS})
if(VARVE_CPU_LEVELS MATCHES "^(all|smallest)$")
  set(varve_levels generic)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(varve_levels x86_64_v2 x86_64_v3 x86_64_v4)
  endif()
  if(VARVE_CPU_LEVELS STREQUAL "smallest")
    list(GET varve_levels 0 varve_levels)
  endif()
endif()

foreach(level ${varve_levels})
  if(NOT level MATCHES "^(generic|x86_64_v[234])$")
    message(FATAL_ERROR "VARVE_CPU_LEVELS: '${level}' is unknown; give all, smallest, generic, or some of x86_64_v2, x86_64_v3, x86_64_v4")
  endif()
endforeach()

# GNU binutils, whatever the compiler: lld has no --force-group-allocation.
find_program(VARVE_LD NAMES ld.bfd ld REQUIRED)
find_program(VARVE_OBJCOPY NAMES objcopy REQUIRED)

set(varve_kernel_sources
  core/cpu/pointwise_loops.cpp core/cpu/conversions.cpp core/cpu/reduce_loops.cpp core/cpu/row_loops.cpp
  core/cpu/random_loops.cpp core/cpu/gemm.cpp core/cpu/table.cpp)

# Adds one object to the target, compiled with `options` from the sources that follow; all it shows is the table
# varve_kernels_<name>.
function(varve_add_kernels target name options)
  set(objects varve_kernels_${name})
  add_library(${objects} OBJECT ${ARGN})
  target_include_directories(${objects} PRIVATE ${VARVE_INCLUDE_ROOT})
  target_link_libraries(${objects} PRIVATE Eigen3::Eigen)
  target_compile_features(${objects} PRIVATE cxx_std_20)
  target_compile_definitions(${objects} PRIVATE Eigen=Eigen_${name} EIGEN_DONT_PARALLELIZE EIGEN_NO_DEBUG
    VARVE_STATIC VARVE_LEVEL_TABLE=${objects})
  # Always optimised, but under sanitizers, which take minutes over it. No -ffast-math: NaN and infinity mean something.
  # Contraction off: the same product and sum everywhere. errno off: else a square root calls the library. No unique
  # symbols: the linker would merge them across levels, whatever their visibility.
  target_compile_options(${objects} PRIVATE $<$<NOT:$<BOOL:${varve_sanitized}>>:-O3>
    $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique> -fno-math-errno -fno-trapping-math -ffp-contract=off -fwrapv
    -Wno-psabi -Wno-ignored-attributes -Wno-uninitialized $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_compile_options(${objects} PRIVATE ${options})
  set_target_properties(${objects} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON INTERPROCEDURAL_OPTIMIZATION OFF)
  set(combined ${CMAKE_CURRENT_BINARY_DIR}/${objects}.o)
  add_custom_command(
    OUTPUT ${combined}
    COMMAND ${VARVE_LD} -r --force-group-allocation -o ${combined}.merged $<TARGET_OBJECTS:${objects}>
    COMMAND ${VARVE_OBJCOPY} --keep-global-symbol=${objects} ${combined}.merged ${combined}
    COMMAND ${CMAKE_COMMAND} -E rm ${combined}.merged
    DEPENDS ${objects} $<TARGET_OBJECTS:${objects}>
    COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${combined} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  target_sources(${target} PRIVATE ${combined})
endfunction()

# Adds the kernels of a level. AVX512-BF16 and AMX cost one loop more each, not one level more.
function(varve_add_level target level)
  set(march)
  if(NOT level STREQUAL "generic")
    string(REPLACE _ - march -march=${level})
  endif()
  varve_add_kernels(${target} ${level} "${march}" ${varve_kernel_sources})
  if(level STREQUAL "x86_64_v4")
    varve_add_kernels(${target} ${level}_bf16 "${march};-mavx512bf16" core/cpu/gemm_bf16.cpp)
    varve_add_kernels(${target} ${level}_amx "${march};-mamx-tile;-mamx-bf16" core/cpu/gemm_amx.cpp)
  endif()
  target_compile_definitions(${target} PRIVATE VARVE_LEVEL_${level})
endfunction()
