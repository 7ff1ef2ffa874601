// Every call to CUDA and cuBLASLt is checked, but for those that give something back. What fails is an Error
// that names the call and, since the device runs behind, the kernel family that this thread started last.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

namespace varve::cuda {

// The kernel family that this thread started last; "" before the first.
inline thread_local const char* last_family = "";

[[noreturn]] void fail(cudaError_t code, const char* call);
[[noreturn]] void fail(cublasStatus_t code, const char* call);

}  // namespace varve::cuda

#define VARVE_CUDA_CHECK(call)                                           \
  do {                                                                   \
    if (const auto varve_code = (call); varve_code != decltype(call)(0)) \
      ::varve::cuda::fail(varve_code, #call);                            \
  } while (0)
