// The CUDA backend, as the rest of varve sees it.
#pragma once

#include <varve/core/backend.h>

namespace varve {

// The backend of that GPU; DeviceError when this build or this machine has none.
VARVE_API Backend& cuda_backend(int index);

}  // namespace varve
