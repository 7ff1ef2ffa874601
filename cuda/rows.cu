// Functions along the last axis: a group of threads for each row, a warp for short ones, else a block.
#include <varve/core/axes.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/exponentials.cuh>
#include <varve/cuda/indices.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

constexpr int64_t kShort = 512;  // a row that a warp handles

// Calls body(group, row) for the rows that this group of threads has. Groups without a row come too, with row
// < 0.
template <int kSize, class Body>
__device__ void for_each_row(int64_t rows, Body&& body) {
  constexpr int kGroups = kThreads / kSize;
  const Group<kSize> group;
  for (int64_t first = int64_t{blockIdx.x} * kGroups; first < rows; first += int64_t{gridDim.x} * kGroups) {
    const int64_t row = first + threadIdx.x / kSize;
    body(group, row < rows ? row : -1);
  }
}

// Where the rows of that number begin, in the first kCount operands; elements of a row lie side by side.
template <int kCount>
class Starts {
 public:
  __device__ Starts(const Space& starts, int64_t row) : starts_(starts) {
    locate(starts, row < 0 ? 0 : row, at_);
  }
  template <class T, int k>
  __device__ T* row() const {
    return reinterpret_cast<T*>(starts_.operand[k].data) + at_[k];
  }

 private:
  const Space& starts_;
  int64_t at_[kCount];
};

// A row as its group sees it: the first kHeld elements of each thread are read once, all at a time; where
// there are none, minus infinity, which changes no maximum and no sum of exponentials.
template <class T, int kSize, int kHeld>
class Row {
 public:
  __device__ Row(const Group<kSize>& group, const T* x, int64_t count)
      : lane_(group.lane), x_(x), count_(count), near_(static_cast<int>(min(count, int64_t{kSize} * kHeld))) {
    // Without a condition on each: or they would wait for one another.
    if (near_ > 0)
#pragma unroll
      for (int h = 0; h < kHeld; ++h) held_[h] = x_[is_held(h) ? lane_ + h * kSize : 0];
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
      if (!is_held(h)) held_[h] = -std::numeric_limits<T>::infinity();
  }
  // body(x[i]) for each i that is this thread's, in order, and for what stands in for more.
  template <class Body>
  __device__ void each(Body&& body) const {
#pragma unroll
    for (int h = 0; h < kHeld; ++h) body(held_[h]);
    if constexpr (kSize > kWarp)
      for (int64_t i = lane_ + kHeld * kSize; i < count_; i += kSize) body(x_[i]);
  }
  // y[i] = body(i, x[i])
  template <class Body>
  __device__ void put(T* y, Body&& body) const {
#pragma unroll
    for (int h = 0; h < kHeld; ++h) {
      const int i = lane_ + h * kSize;
      const T value = body(i, held_[h]);
      if (is_held(h)) y[i] = value;
    }
    if constexpr (kSize > kWarp)
      for (int64_t i = lane_ + kHeld * kSize; i < count_; i += kSize) y[i] = body(i, x_[i]);
  }

 private:
  __device__ bool is_held(int h) const { return lane_ + h * kSize < near_; }

  int lane_;
  const T* x_;
  int64_t count_;
  int near_;  // how many elements are held, by all
  T held_[kHeld];
};

template <class T, bool kLog, int kSize, int kHeld>
__global__ void __launch_bounds__(kThreads) softmax(const __grid_constant__ Space starts, int64_t n) {
  take_turn();
  for_each_row<kSize>(starts.total, [&](const Group<kSize>& group, int64_t row) {
    const Starts<2> at(starts, row);
    const Row<T, kSize, kHeld> x(group, at.template row<const T, 0>(), row < 0 ? 0 : n);
    T* y = at.template row<T, 1>();
    const Exponentials<T> e(group, x);
    const T shift = log_of(e.sum), scale = T(1) / e.sum;
    x.put(y, [&](int64_t, T v) { return kLog ? (v - e.top) - shift : exp_of(v - e.top) * scale; });
  });
}

// Operands: y, its gradient, the gradient by the input.
template <class T, bool kLog, int kSize>
__global__ void __launch_bounds__(kThreads) softmax_slope(const __grid_constant__ Space starts, int64_t n) {
  take_turn();
  for_each_row<kSize>(starts.total, [&](const auto& group, int64_t row) {
    const Starts<3> at(starts, row);
    const T *y = at.template row<const T, 0>(), *dy = at.template row<const T, 1>();
    T* dx = at.template row<T, 2>();
    const int64_t count = row < 0 ? 0 : n;
    T sum = 0;
    for (int64_t i = group.lane; i < count; i += kSize) sum += kLog ? dy[i] : y[i] * dy[i];
    sum = group.joined(sum, [](T a, T b) { return a + b; });
    for (int64_t i = group.lane; i < count; i += kSize)
      dx[i] = kLog ? dy[i] - exp_of(y[i]) * sum : y[i] * (dy[i] - sum);
  });
}

// Operands: the logits, the targets, the losses.
template <class T, int kSize, int kHeld>
__global__ void __launch_bounds__(kThreads)
    cross_entropy(const __grid_constant__ Space starts, int64_t n, IndexRange classes, int64_t* verdict) {
  take_turn();
  for_each_row<kSize>(starts.total, [&](const Group<kSize>& group, int64_t row) {
    const Starts<3> at(starts, row);
    const T* logits = at.template row<const T, 0>();
    const int64_t found = *at.template row<const int64_t, 1>();
    const Exponentials<T> e(group, Row<T, kSize, kHeld>(group, logits, row < 0 ? 0 : n));
    if (row < 0 || group.lane != 0) return;
    const int64_t target = place_of(found, classes, verdict);
    if (target >= 0) *at.template row<T, 2>() = e.cross_entropy(logits[target]);
  });
}

// Operands: the logits, the targets, the gradients by the losses, those by the logits.
template <class T, int kSize, int kHeld>
__global__ void __launch_bounds__(kThreads)
    cross_entropy_slope(const __grid_constant__ Space starts, int64_t n, IndexRange classes,
                        int64_t* verdict) {
  take_turn();
  for_each_row<kSize>(starts.total, [&](const Group<kSize>& group, int64_t row) {
    const Starts<4> at(starts, row);
    const int64_t found = *at.template row<const int64_t, 1>();
    const T dy = *at.template row<const T, 2>();
    const Row<T, kSize, kHeld> x(group, at.template row<const T, 0>(), row < 0 ? 0 : n);
    T* dx = at.template row<T, 3>();
    const Exponentials<T> e(group, x);
    const int64_t target = place_of(found, classes, verdict);
    x.put(dx, [&](int64_t i, T v) { return e.cross_entropy_slope(v, dy, i == target); });
  });
}

// Pieces of four elements a thread; what came before is carried from piece to piece.
template <class T>
__global__ void __launch_bounds__(kThreads) cumsum(const __grid_constant__ Space starts, int64_t n) {
  take_turn();
  constexpr int kEach = 4;
  __shared__ T warps[kThreads / kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int64_t row = blockIdx.x; row < starts.total; row += gridDim.x) {
    const Starts<2> at(starts, row);
    const T* x = at.template row<const T, 0>();
    T* y = at.template row<T, 1>();
    T carry = 0;
    for (int64_t first = 0; first < n; first += kThreads * kEach) {
      const int64_t mine = first + int64_t{threadIdx.x} * kEach;
      T part[kEach];
#pragma unroll
      for (int k = 0; k < kEach; ++k)
        part[k] = (k ? part[k - 1] : T(0)) + (mine + k < n ? x[mine + k] : T(0));
      T upto = part[kEach - 1];  // of this warp, this thread's included
#pragma unroll
      for (int back = 1; back < kWarp; back *= 2) {
        const T before = __shfl_up_sync(~0u, upto, back);
        if (lane >= back) upto += before;
      }
      if (lane == kWarp - 1) warps[warp] = upto;
      T before = __shfl_up_sync(~0u, upto, 1);
      if (lane == 0) before = 0;
      __syncthreads();
      T base = carry;
      for (int w = 0; w < warp; ++w) base += warps[w];
      for (int w = 0; w < kThreads / kWarp; ++w) carry += warps[w];
#pragma unroll
      for (int k = 0; k < kEach; ++k)
        if (mine + k < n) y[mine + k] = (base + before) + part[k];
      __syncthreads();
    }
  }
}

// Whether a comes before b: the more extreme, then the earlier; NaN is most extreme.
template <class T, bool kLargest>
__device__ bool precedes(T a, int64_t i, T b, int64_t j) {
  const bool a_nan = a != a, b_nan = b != b;
  if (a_nan != b_nan) return a_nan;
  if (!a_nan && a != b) return kLargest ? a > b : a < b;
  return i < j;
}

template <class T, bool kLargest, int kSize>
__global__ void __launch_bounds__(kThreads) arg_extreme(const __grid_constant__ Space starts, int64_t n) {
  take_turn();
  for_each_row<kSize>(starts.total, [&](const auto& group, int64_t row) {
    const Starts<2> at(starts, row);
    const T* x = at.template row<const T, 0>();
    // Threads without an element of their own look at the first.
    int64_t best = group.lane < n && row >= 0 ? group.lane : 0;
    for (int64_t i = group.lane; row >= 0 && i < n; i += kSize)
      if (precedes<T, kLargest>(x[i], i, x[best], best)) best = i;
    best = group.joined(
        best, [x](int64_t i, int64_t j) { return precedes<T, kLargest>(x[i], i, x[j], j) ? i : j; });
    if (row >= 0 && group.lane == 0) *at.template row<int64_t, 1>() = best;
  });
}

// Calls f.template operator()<kSize, kHeld>() with what suits rows of n elements that are read more than
// once.
template <class F>
void with_held(int64_t n, F&& f) {
  if (n <= kWarp) return f.template operator()<kWarp, 1>();
  if (n <= 8 * kWarp) return f.template operator()<kWarp, 8>();
  if (n <= 32 * kWarp) return f.template operator()<kWarp, 32>();
  f.template operator()<kThreads, 16>();
}

template <class T>
void start_softmax(Context& on, RowFn fn, Views in, const Space& starts) {
  const int64_t n = in[0].shape.back();
  const IndexRange classes{"cross_entropy", n, false};
  int64_t* const verdict = has_targets(fn) ? check_indices(on, in[1], classes) : nullptr;
  with_held(n, [&]<int kSize, int kHeld>() {
    const int64_t threads = starts.total * kSize;
    if (fn == RowFn::softmax)
      start(on, threads, softmax<T, false, kSize, kHeld>, starts, n);
    else if (fn == RowFn::log_softmax)
      start(on, threads, softmax<T, true, kSize, kHeld>, starts, n);
    else if (fn == RowFn::cross_entropy)
      start(on, threads, cross_entropy<T, kSize, kHeld>, starts, n, classes, verdict);
    else
      start(on, threads, cross_entropy_slope<T, kSize, kHeld>, starts, n, classes, verdict);
  });
}

template <class T>
void start_rows(Context& on, RowFn fn, Views in, const Space& starts) {
  if constexpr (std::is_floating_point_v<T>)
    if (fn == RowFn::softmax || fn == RowFn::log_softmax || has_targets(fn))
      return start_softmax<T>(on, fn, in, starts);
  const int64_t n = in[0].shape.back();
  if (fn == RowFn::cumsum) return start(on, starts.total * kThreads, cumsum<T>, starts, n);
  const auto by_length = [&](auto on_warp, auto on_block) {
    const bool is_short = n <= kShort;
    start(on, starts.total * (is_short ? kWarp : kThreads), is_short ? on_warp : on_block, starts, n);
  };
  if constexpr (std::is_floating_point_v<T>) {
    if (fn == RowFn::softmax_slope)
      return by_length(softmax_slope<T, false, kWarp>, softmax_slope<T, false, kThreads>);
    if (fn == RowFn::log_softmax_slope)
      return by_length(softmax_slope<T, true, kWarp>, softmax_slope<T, true, kThreads>);
  }
  if (fn == RowFn::argmax) return by_length(arg_extreme<T, true, kWarp>, arg_extreme<T, true, kThreads>);
  by_length(arg_extreme<T, false, kWarp>, arg_extreme<T, false, kThreads>);
}

}  // namespace

void drive_rows(Context& on, RowFn fn, Views in, Views out) {
  const View& x = in[0];
  if (x.numel() == 0 && !has_targets(fn)) return;  // where there are no classes no target is right
  if (fn == RowFn::sort || fn == RowFn::sort_descending)
    return drive_sort(on, fn == RowFn::sort_descending, x, out);
  View operands[4];
  std::transform(in.begin(), in.end(), operands, row_starts);
  std::transform(out.begin(), out.end(), operands + in.size(), row_starts);
  const Space starts(operands[0].shape, Views(operands, in.size()), Views(operands + in.size(), out.size()));
  with_compute(compute_of(x.dtype), [&]<class T>() { start_rows<T>(on, fn, in, starts); });
}

}  // namespace varve::cuda
