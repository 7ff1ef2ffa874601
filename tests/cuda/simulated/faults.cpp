#include "tests/cuda/simulated/faults.h"

#include <optional>

#include "tests/cuda/simulated/device.h"

namespace varve::simulated {
namespace {

std::optional<uint64_t> left;  // calls before the one that fails
cudaError_t code = cudaSuccess;
bool failed = false;

}  // namespace

void fail(uint64_t call, bool for_memory) {
  const std::lock_guard lock(device_mutex());
  left = call, failed = false;
  code = for_memory ? cudaErrorMemoryAllocation : cudaErrorLaunchFailure;
}

bool stop_failing() {
  const std::lock_guard lock(device_mutex());
  left.reset();
  return failed;
}

cudaError_t refused() {
  const std::lock_guard lock(device_mutex());
  if (!left || (*left)-- > 0) return cudaSuccess;
  left.reset(), failed = true;
  return code;
}

}  // namespace varve::simulated
