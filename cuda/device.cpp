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
  const std::string what = fmt::format("cuda: {}: {} ({}){}", call, cudaGetErrorString(code),
                                       cudaGetErrorName(code), after_what());
  if (code == cudaErrorMemoryAllocation)
    throw MemoryError(fmt::format("{}. Use smaller batches, or let go of tensors", what));
  throw Error(
      fmt::format("{}. CUDA_LAUNCH_BLOCKING=1 or compute-sanitizer finds the kernel that failed", what));
}

void fail(cublasStatus_t code, const char* call) {
  const std::string what =
      fmt::format("cuda: cuBLASLt: {}: {}{}", call, cublasLtGetStatusString(code), after_what());
  if (code == CUBLAS_STATUS_ALLOC_FAILED)
    throw MemoryError(fmt::format("{}. Use smaller batches, or let go of tensors", what));
  throw Error(what);
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

void Event::record(cudaStream_t stream) const {
  const cudaError_t code = cudaEventRecord(event_, stream);
  if (code == cudaSuccess) return;
  cudaStreamSynchronize(stream);
  fail(code, "cudaEventRecord");
}

Current::Current(int device) : device_(device) {
  VARVE_CUDA_CHECK(cudaGetDevice(&before_));
  if (before_ != device_) VARVE_CUDA_CHECK(cudaSetDevice(device_));
}

Current::~Current() {
  if (before_ != device_) cudaSetDevice(before_);
}

}  // namespace varve::cuda
