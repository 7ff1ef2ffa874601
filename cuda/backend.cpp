// The CUDA backend: the drivers behind the interface, each on its own GPU.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include <varve/core/error.h>
#include <varve/core/precision.h>
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
  std::function<void()> errors_so_far(std::span<const Memory> of) override {
    const cuda::Current current(on_.device);
    return on_.findings.so_far(on_, of);
  }
  std::unique_ptr<Ferry> ferry(size_t bytes) override {
    const cuda::Current current(on_.device);
    if (on_.capture()) throw cuda::CannotRecord();
    return on_.ferries.take(on_.device, on_.stream, bytes);
  }

  // What is asked for may be done later, from views and numbers that it keeps.
  void fill(const View& out, const void* element) override {
    std::array<std::byte, 8> value;
    std::memcpy(value.data(), element, size_of(out.dtype));
    run("fill", {}, one(out), [this, value](Views, Views to) { cuda::drive_fill(on_, to[0], value.data()); });
  }
  void copy(const View& in, const View& out) override {
    run("copy", one(in), one(out), [this](Views from, Views to) { cuda::drive_copy(on_, from[0], to[0]); });
  }
  void pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) override {
    std::array<double, pointwise::kMaxConstants> kept;
    std::copy(constants.begin(), constants.end(), kept.begin());
    run(
        "pointwise", in, out,
        [this, fn, kept](Views from, Views to) { cuda::drive_pointwise(on_, fn, kept.data(), from, to); },
        [fn, kept](cuda::SmallProduct& product, Views from, Views to) {
          return product.then(fn, kept.data(), from, to);
        });
  }
  void reduce(ReduceFn fn, const View& in, const View& out) override {
    run("reduce", one(in), one(out),
        [this, fn](Views from, Views to) { cuda::drive_reduce(on_, fn, from[0], to[0]); });
  }
  void rows(RowFn fn, Views in, Views out) override {
    run(
        "rows", in, out, [this, fn](Views from, Views to) { cuda::drive_rows(on_, fn, from, to); },
        [this, fn](cuda::SmallProduct& product, Views from, Views to) {
          return product.then(on_, fn, from, to);
        });
  }
  void matmul(const View& a, const View& b, const View& out) override {
    const View both[] = {a, b};
    run(
        "matmul", both, one(out),
        [this, tf32 = tf32_allowed()](Views from, Views to) {
          cuda::drive_matmul(on_, from[0], from[1], to[0], tf32);
        },
        nullptr,
        [this](Views from, Views to) { return cuda::SmallProduct::of(on_, from[0], from[1], to[0]); });
  }
  void gather(const View& in, const View& index, int axis, const View& out) override {
    const View both[] = {in, index};
    run("gather", both, one(out),
        [this, axis](Views from, Views to) { cuda::drive_gather(on_, from[0], from[1], axis, to[0]); });
  }
  void scatter_add(const View& in, const View& index, int axis, const View& out) override {
    const View both[] = {in, index};
    run("scatter_add", both, one(out),
        [this, axis](Views from, Views to) { cuda::drive_scatter_add(on_, from[0], from[1], axis, to[0]); });
  }
  void random(RandomFn fn, double p, const View& state, const View& out) override {
    const View written[] = {state, out};
    run("random", {}, written,
        [this, fn, p](Views, Views to) { cuda::drive_random(on_, fn, p, to[0], to[1]); });
  }
  size_t apart_bytes() const override { return on_.cache; }
  std::unique_ptr<Recording> record(Views places, const std::function<void()>& work) override {
    return cuda::record(on_, places, work);
  }

 private:
  static Views one(const View& view) { return Views(&view, 1); }
  template <class Work, class Join = std::nullptr_t, class Product = std::nullptr_t>
  void run(const char* family, Views reads, Views writes, Work&& work, Join&& join = {},
           Product&& product = {}) {
    const cuda::Current current(on_.device);
    if (cuda::Capture* const capture = on_.capture())
      return capture->add(
          {family, {reads.begin(), reads.end()}, {writes.begin(), writes.end()}, work, join, product});
    cuda::last_family = family;
    work(reads, writes);
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
