// Which device: by name, and the one in force on this thread.
#include <varve/core/backend.h>

#include <fmt/format.h>

#include <atomic>
#include <charconv>

#include <varve/core/error.h>
#include <varve/core/storage.h>
#include <varve/cuda/cuda.h>

namespace varve {
namespace {
thread_local Device current = kCpu;

// One for each thread that asks, from 1.
uint64_t own_number() {
  static std::atomic<uint64_t> last = 0;
  thread_local const uint64_t own = ++last;
  return own;
}
thread_local uint64_t worked_for = 0;  // or nobody

class PlainFerry final : public Ferry {
 public:
  PlainFerry(Backend& on, size_t bytes)
      : Ferry({}), on_(on), memory_(std::make_unique_for_overwrite<std::byte[]>(bytes)) {
    room_ = {memory_.get(), bytes};
  }
  void upload(const std::byte* from, void* to, size_t bytes) override { on_.upload(from, to, bytes); }
  void download(const void* from, std::byte* to, size_t bytes) override { on_.download(from, to, bytes); }
  void wait() override {}

 private:
  Backend& on_;
  std::unique_ptr<std::byte[]> memory_;
};
}  // namespace

Backend& backend_for(Device device) {
  return device.kind == DeviceKind::cpu ? cpu_backend() : cuda_backend(device.index);
}

std::string to_string(Device device) {
  return device.kind == DeviceKind::cpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

Device device_named(std::string_view name) {
  if (name == "cpu") return kCpu;
  if (name == "cuda") return kCuda;
  if (name.starts_with("cuda:")) {
    Device device = kCuda;
    const char* const end = name.data() + name.size();
    const auto [stopped, error] = std::from_chars(name.data() + 5, end, device.index);
    if (error == std::errc() && stopped == end && device.index >= 0) return device;
  }
  throw DeviceError(fmt::format("device: '{}' found; required is cpu, cuda or cuda:N", name));
}

std::unique_ptr<Ferry> Backend::ferry(size_t bytes) { return std::make_unique<PlainFerry>(*this, bytes); }

void Backend::run_parts(int64_t count, size_t bytes, const std::function<void(int64_t, std::byte*)>& part) {
  const Storage room(*this, bytes);
  for (int64_t i = 0; i < count; ++i) part(i, room.data());
}

Asker asker() {
  const uint64_t own = own_number(), other = worked_for;
  return other == 0 ? Asker{own, true} : Asker{other, other == own};
}
OnBehalf::OnBehalf(Asker asker) : previous_(worked_for) { worked_for = asker.thread; }
OnBehalf::~OnBehalf() { worked_for = previous_; }

Device current_device() { return current; }
OnDevice::OnDevice(Device device) : previous_(current) { current = device; }
OnDevice::~OnDevice() { current = previous_; }

}  // namespace varve
