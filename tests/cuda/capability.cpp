// The simulated GPU is of the architecture that the environment asks for, or a test of another would be one
// of the same.
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include <cstdlib>

TEST_CASE("the simulated GPU has the compute capability that was asked for") {
  const char* const asked = std::getenv("VARVE_SIMULATED_CAPABILITY");
  int major = 0;
  CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess);
  CHECK(major == (asked ? std::atoi(asked) : 9));
}
