// The CUDA backend: the drivers behind the interface, each on its own GPU.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include <varve/core/error.h>
#include <varve/cuda/capture.h>
#include <varve/cuda/cuda.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/small_product.h>

namespace varve {
namespace cuda {

Context::Context(int index) : device(index) {
  const auto asked = [index](cudaDeviceAttr what) {
    int value = 0;
    VARVE_CUDA_CHECK(cudaDeviceGetAttribute(&value, what, index));
    return value;
  };
  processors = asked(cudaDevAttrMultiProcessorCount);
  hopper = asked(cudaDevAttrComputeCapabilityMajor) >= 9 && compiled_for_hopper();
  cache = static_cast<size_t>(asked(cudaDevAttrL2CacheSize));
}

}  // namespace cuda

namespace {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int index) : on_(index) {}
  Device device() const override { return {DeviceKind::cuda, on_.device}; }

  void* allocate(size_t bytes) override {
    const cuda::Current current(on_.device);
    return on_.allocator.take(bytes);
  }
  void release(void* data, size_t bytes) noexcept override { on_.allocator.give(data, bytes); }
  void upload(const void* from, void* to, size_t bytes) override {
    const cuda::Current current(on_.device);
    if (on_.capture()) throw cuda::CannotRecord();
    on_.staging.upload(on_.stream, from, to, bytes);
  }
  void download(const void* from, void* to, size_t bytes) override {
    const cuda::Current current(on_.device);
    on_.download(from, to, bytes);
  }

  void fill(const View& out, const void* element) override {
    run("fill", {}, one(out), [&] { cuda::drive_fill(on_, out, element); });
  }
  void copy(const View& in, const View& out) override {
    run("copy", one(in), one(out), [&] { cuda::drive_copy(on_, in, out); });
  }
  void pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) override {
    run("pointwise", in, out, [&] { cuda::drive_pointwise(on_, fn, constants, in, out); });
  }
  void reduce(ReduceFn fn, const View& in, const View& out) override {
    run("reduce", one(in), one(out), [&] { cuda::drive_reduce(on_, fn, in, out); });
  }
  void rows(RowFn fn, Views in, Views out) override {
    run("rows", in, out, [&] { cuda::drive_rows(on_, fn, in, out); });
  }
  void matmul(const View& a, const View& b, const View& out) override {
    const View in[] = {a, b};
    run("matmul", in, one(out), [&] { cuda::drive_matmul(on_, a, b, out); });
  }
  void gather(const View& in, const View& index, int axis, const View& out) override {
    const View from[] = {in, index};
    run("gather", from, one(out), [&] { cuda::drive_gather(on_, in, index, axis, out); });
  }
  void scatter_add(const View& in, const View& index, int axis, const View& out) override {
    const View from[] = {in, index};
    run("scatter_add", from, one(out), [&] { cuda::drive_scatter_add(on_, in, index, axis, out); });
  }
  void random(RandomFn fn, double p, const View& state, const View& out) override {
    const View written[] = {state, out};
    run("random", {}, written, [&] { cuda::drive_random(on_, fn, p, state, out); });
  }
  size_t apart_bytes() const override { return on_.cache; }
  std::unique_ptr<Recording> record(Views places, const std::function<void()>& work) override {
    return cuda::record(on_, places, work);
  }

 private:
  static Views one(const View& view) { return Views(&view, 1); }
  template <class Drive>
  void run(const char* family, Views reads, Views writes, Drive&& drive) {
    const cuda::Current current(on_.device);
    cuda::last_family = family;
    if (cuda::Capture* const capture = on_.capture()) capture->begin(reads, writes);
    drive();
  }

  cuda::Context on_;
};

}  // namespace

// Made on first use, and never destroyed: the driver may be gone before the last tensor is.
Backend& cuda_backend(int index) {
  static std::mutex mutex;
  static auto& backends = *new std::vector<std::unique_ptr<CudaBackend>>;
  const std::lock_guard lock(mutex);
  if (backends.empty()) backends.resize(static_cast<size_t>(cuda::device_count()));
  const auto count = static_cast<int>(backends.size());
  if (index < 0 || index >= count)
    throw DeviceError(
        fmt::format("cuda: there is no cuda:{}; the GPUs are cuda:0 to cuda:{}", index, count - 1));
  auto& backend = backends[static_cast<size_t>(index)];
  if (!backend) {
    const cuda::Current current(index);
    backend = std::make_unique<CudaBackend>(index);
  }
  return *backend;
}

}  // namespace varve
