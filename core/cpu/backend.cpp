// The CPU backend: memory, and the drivers behind the interface.
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include <varve/core/cpu/drivers.h>
#include <varve/core/cpu/flush.h>
#include <varve/core/cpu/large_blocks.h>
#include <varve/core/cpu/pieces.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/cpu/workspace.h>
#include <varve/core/error.h>

namespace varve {
namespace {

constexpr size_t kSmall = 512;  // below it, to align memory costs more than it gains

// Never destroyed: tensors may be, later than anything else.
cpu::LargeBlocks& large_blocks() {
  static auto& blocks = *new cpu::LargeBlocks;
  return blocks;
}

// Null where there is not enough.
void* take(size_t bytes) {
  if (bytes < kSmall) return ::operator new(bytes, std::nothrow);
  if (bytes >= cpu::kHugePage) return large_blocks().take(bytes);
  void* data = nullptr;
  return ::posix_memalign(&data, 64, (bytes + 63) / 64 * 64) == 0 ? data : nullptr;
}

class CpuBackend final : public Backend {
 public:
  Device device() const override { return kCpu; }

  void* allocate(size_t bytes) override {
    void* data = take(bytes);
    if (!data) {
      large_blocks().clear();
      data = take(bytes);
    }
    if (!data) throw MemoryError(fmt::format("out of memory: {} bytes cannot be had for a tensor", bytes));
    return data;
  }
  void release(void* data, size_t bytes) noexcept override {
    if (bytes < kSmall)
      ::operator delete(data);
    else if (bytes >= cpu::kHugePage)
      large_blocks().give(data, bytes);
    else
      std::free(data);
  }
  void upload(const void* from, void* to, size_t bytes) override {
    if (bytes) std::memcpy(to, from, bytes);
  }
  void download(const void* from, void* to, size_t bytes) override { upload(from, to, bytes); }

  void fill(const View& out, const void* element) override { cpu::drive_fill(out, element); }
  void copy(const View& in, const View& out) override { cpu::drive_copy(in, out); }
  void pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) override {
    const cpu::Flush flush;
    cpu::drive_pointwise(fn, constants, in, out);
  }
  void reduce(ReduceFn fn, const View& in, const View& out) override {
    const cpu::Flush flush;
    cpu::drive_reduce(fn, in, out);
  }
  void rows(RowFn fn, Views in, Views out) override {
    const cpu::Flush flush;
    cpu::drive_rows(fn, in, out);
  }
  void matmul(const View& a, const View& b, const View& out) override {
    const cpu::Flush flush;
    cpu::drive_matmul(a, b, out);
  }
  void gather(const View& in, const View& index, int axis, const View& out) override {
    cpu::drive_gather(in, index, axis, out);
  }
  void scatter_add(const View& in, const View& index, int axis, const View& out) override {
    const cpu::Flush flush;
    cpu::drive_scatter_add(in, index, axis, out);
  }
  // Half of the second cache that is assumed.
  size_t part_bytes() const override { return size_t{512} << 10; }
  int64_t parts_for(double work) const override { return cpu::pieces_for(work, threads()); }
  void run_parts(int64_t count, size_t bytes, const std::function<void(int64_t, std::byte*)>& part) override {
    cpu::parallel(count, [&](int64_t i) { part(i, cpu::part_room(bytes)); });
  }
  void random(RandomFn fn, double p, const View& state, const View& out) override {
    const cpu::Flush flush;
    cpu::drive_random(fn, p, state, out);
  }
};

}  // namespace

Backend& cpu_backend() {
  static CpuBackend instance;
  return instance;
}

}  // namespace varve
