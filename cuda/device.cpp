#include <varve/cuda/device.h>

#include <fmt/format.h>

#include <string>

#include <varve/core/error.h>

namespace varve::cuda {
namespace {

std::string after_what() {
  return *last_family ? fmt::format("; the last kernels started were those of {}", last_family) : "";
}

std::string version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

}  // namespace

void fail(cudaError_t code, const char* call) {
  cudaGetLastError();  // what can be cleared is
  throw Error(fmt::format(
      "cuda: {}: {} ({}){}. CUDA_LAUNCH_BLOCKING=1 or compute-sanitizer finds the kernel that failed", call,
      cudaGetErrorString(code), cudaGetErrorName(code), after_what()));
}

void fail(cublasStatus_t code, const char* call) {
  throw Error(fmt::format("cublasLt: {}: {}{}", call, cublasLtGetStatusString(code), after_what()));
}

int device_count() {
  int count = 0, driver = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return count;
  cudaGetLastError();
  cudaDriverGetVersion(&driver);
  if (driver == 0) throw DeviceError("cuda: this machine has no NVIDIA driver; install it, or use the CPU");
  if (code == cudaErrorInsufficientDriver)
    throw DeviceError(
        fmt::format("cuda: the driver is for CUDA {}, this build needs {}; update it, or use the CPU",
                    version(driver), version(CUDART_VERSION)));
  throw DeviceError(fmt::format("cuda: no GPU can be used: {}; make one visible, or use the CPU",
                                code == cudaSuccess ? "there is none" : cudaGetErrorString(code)));
}

Current::Current(int device) : device_(device) {
  VARVE_CUDA_CHECK(cudaGetDevice(&before_));
  if (before_ != device_) VARVE_CUDA_CHECK(cudaSetDevice(device_));
}

Current::~Current() {
  if (before_ != device_) cudaSetDevice(before_);
}

}  // namespace varve::cuda
