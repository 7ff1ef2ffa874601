// What a build without CUDA links in place of the CUDA backend.
#include <varve/core/error.h>
#include <varve/cuda/cuda.h>

namespace varve {
Backend& cuda_backend(int) {
  throw DeviceError("cuda: this build has no CUDA; configure with -DVARVE_CUDA=ON");
}
}  // namespace varve
