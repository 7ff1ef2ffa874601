// Backend: a device's memory and its few kernel families, on views. Ops call it; it knows neither Tensor nor
// autograd.
//
// Contracts common to all: views may have any strides (0 and negative included) unless said otherwise, zero
// sizes do nothing, outputs do not overlap inputs unless they are the same view, no call allocates once warm,
// and the result does not depend on the number of threads or on addresses.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <varve/core/view.h>

namespace varve::pointwise {
enum class Id : uint16_t;  // which function: id_of<F> in pointwise_kernels.h
}

namespace varve {

enum class DeviceKind : uint8_t { cpu, cuda };
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};
inline constexpr Device kCpu{};
inline constexpr Device kCuda{DeviceKind::cuda, 0};

enum class ReduceFn : uint8_t { sum, prod, max, min };
inline constexpr size_t kReduceFns = 4;
// Along the last axis. softmax, log_softmax, cumsum: one output of the same shape. softmax_slope,
// log_softmax_slope: of the output y and its gradient dy, the gradient by the input. argmax, argmin: i64,
// last axis 1, first of equals, NaN counts as the extreme. sort, sort_descending: values and i64 indices,
// stable, NaN last. cross_entropy: of logits and targets (i64, last axis 1), -log_softmax[target], last
// axis 1. cross_entropy_slope: of logits, targets and dy (last axis 1), dy (softmax - one_hot(target)). Both:
// an Error names the first target that is no class.
enum class RowFn : uint8_t {
  softmax,
  log_softmax,
  softmax_slope,
  log_softmax_slope,
  cumsum,
  argmax,
  argmin,
  sort,
  sort_descending,
  cross_entropy,
  cross_entropy_slope
};
inline constexpr size_t kRowFns = 11;
constexpr bool has_targets(RowFn fn) {  // as input 1
  return fn == RowFn::cross_entropy || fn == RowFn::cross_entropy_slope;
}
// uniform in [0, 1); normal with mean 0 and variance 1; dropout: 0 with probability p, else 1 / (1 - p).
enum class RandomFn : uint8_t { uniform, normal, dropout };
inline constexpr size_t kRandomFns = 3;
inline constexpr int64_t kFewestInProduct = 16;

// Work that a device keeps, to be started again as one.
class VARVE_API Recording {
 public:
  virtual ~Recording() = default;
  // Where its inputs lie this time, without gaps.
  virtual void start(std::span<const void* const> inputs) = 0;
};

// Host memory by which bytes pass to a device's memory and from it on a way of their own, beside what the
// device computes. What was asked of the device before one was made comes before all that it carries; what is
// asked once it is gone comes after. One thread's at a time.
class VARVE_API Ferry {
 public:
  virtual ~Ferry() = default;
  Ferry(const Ferry&) = delete;
  Ferry& operator=(const Ferry&) = delete;
  std::span<std::byte> room() const { return room_; }
  // Each begins to carry bytes from or to a place in the room, which the host leaves alone until wait().
  virtual void upload(const std::byte* from, void* to, size_t bytes) = 0;
  virtual void download(const void* from, std::byte* to, size_t bytes) = 0;
  // Until all that was begun is done.
  virtual void wait() = 0;

 protected:
  explicit Ferry(std::span<std::byte> room) : room_(room) {}
  std::span<std::byte> room_;
};

class VARVE_API Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;

  // Aligned for any element, to 64 bytes from 512 up; a MemoryError where there is not enough.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* data, size_t bytes) noexcept = 0;
  // From the host's memory to the device's, and back. All that was asked of the device before comes first;
  // when either returns, the host may use its side.
  virtual void upload(const void* from, void* to, size_t bytes) = 0;
  virtual void download(const void* from, void* to, size_t bytes) = 0;
  // With room for so many bytes. By default one that uploads and downloads, and is never under way.
  virtual std::unique_ptr<Ferry> ferry(size_t bytes);

  // Every element of `out` becomes the one at `element` (host memory, of out's dtype).
  virtual void fill(const View& out, const void* element) = 0;
  // out = in, converted: to float rounds to nearest; float to integer truncates, saturates, and takes NaN to
  // 0.
  virtual void copy(const View& in, const View& out) = 0;
  // out... = F(in...), inputs already expanded to out's shape; inputs and outputs are converted to and from
  // F's compute type (that of out[0]). An output may be the very view of an input.
  virtual void pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) = 0;
  // out has in's rank and size 1 on reduced axes. Sums run in a fixed tree.
  virtual void reduce(ReduceFn fn, const View& in, const View& out) = 0;
  // What has whole rows has last stride 1, dtype f32, f64, i64 or u64 (softmax, cross_entropy and their
  // slopes: f32 or f64).
  virtual void rows(RowFn fn, Views in, Views out) = 0;
  // out[..., i, j] = sum over p of a[..., i, p] b[..., p, j]; ranks and leading sizes equal; one floating
  // dtype, f16 and bf16 summed in f32, factors of f32 rounded to TF32 at most where tf32_allowed(); each of
  // a, b has a unit stride among its last two; out is contiguous. Where part_bytes() is not 0, rows and
  // columns of a product have the bits that they have in a larger one, unless they are fewer than
  // kFewestInProduct.
  virtual void matmul(const View& a, const View& b, const View& out) = 0;
  // out[i.., j, k..] = in[i.., index[i.., j, k..], k..] along `axis`; index is i64 and has out's shape.
  // Negative indices count from the end; an Error names the first one out of range.
  virtual void gather(const View& in, const View& index, int axis, const View& out) = 0;
  // out[i.., index[i.., j, k..], k..] += in[i.., j, k..], in the order of j.
  virtual void scatter_add(const View& in, const View& index, int axis, const View& out) = 0;
  // Philox4x32-10 (Salmon et al., SC 2011). state: u64 {seed, offset}; the offset moves past what
  // was used.
  virtual void random(RandomFn fn, double p, const View& state, const View& out) = 0;

  // Where calls that go row by row had better be done together, a part of the rows at a time: about how many
  // bytes of results a part should have, to stay in cache; 0 where each had better be done whole.
  virtual size_t part_bytes() const { return 0; }
  // Into how many parts calls of so many multiply-adds had better be cut for all threads to have some.
  virtual int64_t parts_for(double /*work*/) const { return 1; }
  // part(i, room) for each i < count, several at once; room is at least `bytes` that nobody else has
  // meanwhile.
  virtual void run_parts(int64_t count, size_t bytes, const std::function<void(int64_t, std::byte*)>& part);

  // Where calls that use no memory of each other may run side by side: up to how many bytes of a plan's
  // values, the smallest first, had better be each in its own, for memory used again makes calls wait. Else
  // 0.
  virtual size_t apart_bytes() const { return 0; }

  // What `work` asks of this device on this thread, kept and not done; it must leave the memory it uses where
  // it is. It reads its inputs from `places`, contiguous, where a start copies them to. Null, and nothing was
  // done, where the device keeps no work or cannot keep this. An index out of range then meets no memory, and
  // is reported later: to the asker that started it, by its next download; before that to who else downloads
  // memory that the recording writes, once, and to whoever downloads on the asker's behalf.
  virtual std::unique_ptr<Recording> record(Views, const std::function<void()>&) { return nullptr; }
  // What throws such an error, when it is called, if one was found of what this asker had started by now, or
  // by what still writes that memory, and not heard of: for who keeps a copy of it. It waits for the device.
  // Null where there is none.
  using Memory = std::span<const std::byte>;
  virtual std::function<void()> errors_so_far(std::span<const Memory>) { return nullptr; }
};

VARVE_API Backend& cpu_backend();
// The backend of a device; DeviceError when it is absent.
VARVE_API Backend& backend_for(Device device);
VARVE_API std::string to_string(Device device);  // "cpu", "cuda:0"
// The device named as to_string does, "cuda" for the first; DeviceError when it is no name of one.
VARVE_API Device device_named(std::string_view name);

// Who asks devices for work, and hears of what they find late: this thread, or the one whose work it does.
struct Asker {
  uint64_t thread;  // no two have the same
  bool is_here;
};
VARVE_API Asker asker();
// While one lives, this thread works for another.
class VARVE_API OnBehalf {
 public:
  explicit OnBehalf(Asker asker);
  ~OnBehalf();
  OnBehalf(const OnBehalf&) = delete;
  OnBehalf& operator=(const OnBehalf&) = delete;

 private:
  uint64_t previous_;
};

// Where this thread makes tensors from nothing or from numbers: the CPU, or what the innermost OnDevice says.
VARVE_API Device current_device();
class VARVE_API OnDevice {
 public:
  explicit OnDevice(Device device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  Device previous_;
};

}  // namespace varve
