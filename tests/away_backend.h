// AwayBackend: a device whose memory the host cannot touch, and which lags behind: what a ferry carries is
// carried when it is waited for or gone. Kernels are the CPU's.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include <varve/core/backend.h>
#include <varve/core/error.h>
#include <varve/core/tensor.h>

namespace varve::test {

class AwayBackend final : public Backend {
 public:
  size_t most_bytes = SIZE_MAX;  // that it has
  size_t used = 0;               // of those

  Device device() const override { return {DeviceKind::cuda, 99}; }
  void* allocate(size_t bytes) override {
    if (bytes > most_bytes - used) throw MemoryError("away: out of memory");
    used += bytes;
    return away(cpu_.allocate(bytes));
  }
  void release(void* data, size_t bytes) noexcept override {
    used -= bytes;
    cpu_.release(here(data), bytes);
  }
  void upload(const void* from, void* to, size_t bytes) override { cpu_.upload(from, here(to), bytes); }
  void download(const void* from, void* to, size_t bytes) override { cpu_.download(here(from), to, bytes); }
  std::unique_ptr<Ferry> ferry(size_t bytes) override { return std::make_unique<Late>(bytes); }

  void fill(const View& out, const void* element) override { cpu_.fill(here(out), element); }
  void copy(const View& in, const View& out) override { cpu_.copy(here(in), here(out)); }
  void pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) override {
    cpu_.pointwise(fn, constants, here(in), here(out));
  }
  void reduce(ReduceFn fn, const View& in, const View& out) override { cpu_.reduce(fn, here(in), here(out)); }
  void rows(RowFn fn, Views in, Views out) override { cpu_.rows(fn, here(in), here(out)); }
  void matmul(const View& a, const View& b, const View& out) override {
    cpu_.matmul(here(a), here(b), here(out));
  }
  void gather(const View& in, const View& index, int axis, const View& out) override {
    cpu_.gather(here(in), here(index), axis, here(out));
  }
  void scatter_add(const View& in, const View& index, int axis, const View& out) override {
    cpu_.scatter_add(here(in), here(index), axis, here(out));
  }
  void random(RandomFn fn, double p, const View& state, const View& out) override {
    cpu_.random(fn, p, here(state), here(out));
  }

  // A tensor there, with the elements of one on the CPU, in memory of its own and as it lies there.
  Tensor moved(const Tensor& from) {
    const Storage& storage = *from.value().storage;
    return viewed(from, copied(storage));
  }
  std::shared_ptr<Storage> copied(const Storage& from) {
    auto to = std::make_shared<Storage>(*this, from.bytes());
    upload(from.data(), to->data(), from.bytes());
    return to;
  }
  static Tensor viewed(const Tensor& as, std::shared_ptr<Storage> storage) {
    const Value& v = as.value();
    return Tensor(std::make_shared<const Value>(std::move(storage), v.offset, v.dtype, v.shape, v.strides));
  }
  Tensor back(const Tensor& from) {
    const Storage& storage = *from.value().storage;
    auto to = std::make_shared<Storage>(cpu_, storage.bytes());
    download(storage.data(), to->data(), storage.bytes());
    return viewed(from, to);
  }

 private:
  // No address of a process.
  static constexpr uintptr_t kFar = uintptr_t{1} << 56;
  static void* away(void* data) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(data) + kFar); }
  static void* here(const void* data) {
    const auto at = reinterpret_cast<uintptr_t>(data);
    if (at < kFar) throw Error("away: an address of the host's");
    return reinterpret_cast<void*>(at - kFar);
  }
  static View here(View view) {
    view.data = here(view.data);
    return view;
  }
  static std::vector<View> here(Views views) {
    std::vector<View> out;
    for (const View& v : views) out.push_back(here(v));
    return out;
  }

  class Late final : public Ferry {
   public:
    explicit Late(size_t bytes) : Ferry({}), memory_(bytes) { room_ = memory_; }
    ~Late() override { wait(); }
    void upload(const std::byte* from, void* to, size_t bytes) override {
      begun_.push_back([=] { std::copy_n(from, bytes, static_cast<std::byte*>(here(to))); });
    }
    void download(const void* from, std::byte* to, size_t bytes) override {
      std::fill_n(to, bytes, std::byte{0xa5});
      begun_.push_back([=] { std::copy_n(static_cast<const std::byte*>(here(from)), bytes, to); });
    }
    void wait() override {
      for (const auto& carry : std::exchange(begun_, {})) carry();
    }

   private:
    std::vector<std::byte> memory_;
    std::vector<std::function<void()>> begun_;
  };

  Backend& cpu_ = cpu_backend();
};

}  // namespace varve::test
