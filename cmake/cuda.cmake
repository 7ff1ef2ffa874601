# The CUDA backend: device code for the architectures named, the runtime linked in, cuBLASLt as a library beside it. Without a
# driver the program starts all the same, and asking for a device is an error.
set(VARVE_CUDA_ARCHITECTURES "80-real;90-real;100" CACHE STRING
  "What device code is made for, as in CMAKE_CUDA_ARCHITECTURES: machine code for 80, 90 and 100, and PTX for what comes later")
if(NOT DEFINED CMAKE_CUDA_COMPILER AND EXISTS /usr/local/cuda/bin/nvcc)
  set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)  # where the Toolkit goes, in nobody's PATH
endif()
set(CMAKE_CUDA_ARCHITECTURES ${VARVE_CUDA_ARCHITECTURES})
enable_language(CUDA)
find_package(CUDAToolkit 13 REQUIRED)
if(VARVE_CCACHE)
  set_target_properties(varve PROPERTIES CUDA_COMPILER_LAUNCHER ${VARVE_CCACHE})
endif()
set_target_properties(varve PROPERTIES
  CUDA_ARCHITECTURES "${VARVE_CUDA_ARCHITECTURES}" CUDA_VISIBILITY_PRESET hidden)
# CMake 3.25 does not know that nvcc takes C++20.
target_compile_options(varve PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-O3;--expt-relaxed-constexpr>")
target_link_libraries(varve PRIVATE CUDA::cudart_static CUDA::cublasLt)
