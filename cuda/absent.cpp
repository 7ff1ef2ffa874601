// What is linked in place of the CUDA backend, which this version has not got.
#include <varve/core/error.h>
#include <varve/cuda/cuda.h>

namespace varve {
Backend& cuda_backend(int) {
  throw DeviceError("cuda: this version of varve has no CUDA backend; use the CPU");
}
}  // namespace varve
