// What is linked in place of the CUDA backend where it is not built.
#include <varve/core/error.h>
#include <varve/cuda/cuda.h>

namespace varve {
Backend& cuda_backend(int) {
  throw DeviceError("cuda: this build has no CUDA: configure with -DVARVE_CUDA=ON");
}
}  // namespace varve
