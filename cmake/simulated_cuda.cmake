# The CUDA backend on a simulated GPU, for tests: its kernels as functions of the host, and instead of the Toolkit the few
# calls that it asks for. What this builds is no backend for users: it is slow on purpose, and ends where CUDA is misused.
set(simulated ${CMAKE_CURRENT_SOURCE_DIR}/tests/cuda/simulated)
file(GLOB simulated_sources CONFIGURE_DEPENDS ${simulated}/*.cpp)
file(GLOB simulated_kernels CONFIGURE_DEPENDS cuda/*.cu)
target_sources(varve PRIVATE ${simulated_sources})
set_source_files_properties(${simulated_kernels} PROPERTIES LANGUAGE CXX SKIP_PRECOMPILE_HEADERS ON
  COMPILE_OPTIONS "-include;cuda_runtime.h;-D__CUDACC__;-Wno-unknown-pragmas")
set_source_files_properties(${simulated}/cublaslt.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON
  COMPILE_OPTIONS "-O2;-DEIGEN_DONT_PARALLELIZE;$<$<BOOL:${varve_sanitized}>:-fno-sanitize=address,undefined>")
target_include_directories(varve BEFORE PRIVATE ${simulated} ${CMAKE_CURRENT_SOURCE_DIR})
