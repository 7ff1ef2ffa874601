// The CPU backend: memory, and the drivers behind the interface.
#include <fmt/format.h>

#include <cstdlib>
#include <new>

#include <varve/core/cpu/drivers.h>
#include <varve/core/error.h>
#include <varve/cuda/cuda.h>

namespace varve {
namespace {

class CpuBackend final : public Backend {
 public:
  Device device() const override { return kCpu; }

  void* allocate(size_t bytes) override {
    void* data = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!data && bytes) throw std::bad_alloc();
    return data;
  }
  void release(void* data, size_t) noexcept override { std::free(data); }

  void fill(const View& out, const void* element) override { cpu::drive_fill(out, element); }
  void copy(const View& in, const View& out) override { cpu::drive_copy(in, out); }
  void pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) override {
    cpu::drive_pointwise(fn, constants, in, out);
  }
  void reduce(ReduceFn fn, const View& in, const View& out) override { cpu::drive_reduce(fn, in, out); }
  void rows(RowFn fn, const View& in, Views out) override { cpu::drive_rows(fn, in, out); }
  void matmul(const View& a, const View& b, const View& out) override { cpu::drive_matmul(a, b, out); }
  void gather(const View& in, const View& index, int axis, const View& out) override {
    cpu::drive_gather(in, index, axis, out);
  }
  void scatter_add(const View& in, const View& index, int axis, const View& out) override {
    cpu::drive_scatter_add(in, index, axis, out);
  }
  void random(RandomFn fn, double p, const View& state, const View& out) override {
    cpu::drive_random(fn, p, state, out);
  }
};

}  // namespace

Backend& cpu_backend() {
  static CpuBackend instance;
  return instance;
}

Backend& backend_for(Device device) {
  return device.kind == DeviceKind::cpu ? cpu_backend() : cuda_backend(device.index);
}

std::string to_string(Device device) {
  return device.kind == DeviceKind::cpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

}  // namespace varve
