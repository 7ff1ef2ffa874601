// Gather and scatter. Indices are checked before anything is written; while work is recorded, the kernels
// check as they go.
#include <varve/core/axes.h>
#include <varve/cuda/capture.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/indices.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

using Place = unsigned long long;  // what atomicMin takes
constexpr Place kNone = ~Place{0};

// The first place of an index out of range.
__global__ void __launch_bounds__(kThreads)
    find_bad(const __grid_constant__ Space index, IndexRange range, Place* first) {
  take_turn();
  for_each_index(index.total, [&](int64_t i) {
    int64_t at[1];
    locate(index, i, at);
    if (!range.holds(element<int64_t>(index.operand[0], at[0]))) atomicMin(first, static_cast<Place>(i));
  });
}

}  // namespace

int64_t* check_indices(Context& on, const View& index, const IndexRange& range) {
  if (Capture* const capture = on.capture()) return capture->verdicts().place(range);
  View distinct = index;  // what was broadcast needs to be looked at once
  for (int i = 0; i < distinct.rank(); ++i)
    if (distinct.strides[i] == 0 && distinct.shape[i] > 1) distinct.shape[i] = 1;
  const Space space(distinct.shape, Views(&distinct, 1), {});
  const Workspace verdict(on, sizeof(Place));
  VARVE_CUDA_CHECK(cudaMemsetAsync(verdict.data(), 0xff, sizeof(Place), on.queue()));
  start(on, space.total, find_bad, space, range, verdict.as<Place>());
  Place first = kNone;
  on.download(verdict.data(), &first, sizeof first);
  if (first == kNone) return nullptr;
  int64_t found = 0;
  on.download(index.as<const int64_t>() + space.offset(0, static_cast<int64_t>(first)), &found, sizeof found);
  range.refuse(found);
}

namespace {

// `v` with stride 0 along `axis` and the size that `shape` has there: what lies at the axis is found by index
// instead.
View pinned(View v, int axis, const Shape& shape) {
  v.shape[axis] = shape[axis];
  v.strides[axis] = 0;
  return v;
}

// Operands: the input at the beginning of its axis, the index, the output.
template <class Bits>
__global__ void __launch_bounds__(kThreads)
    gather(const __grid_constant__ Space space, IndexRange range, int64_t step, int64_t* verdict) {
  take_turn();
  for_each_index(space.total, [&](int64_t i) {
    int64_t at[3];
    locate(space, i, at);
    const int64_t place = place_of(element<int64_t>(space.operand[1], at[1]), range, verdict);
    if (place >= 0)
      element<Bits>(space.operand[2], at[2]) = element<Bits>(space.operand[0], at[0] + place * step);
  });
}

template <class T>
__device__ T sum_of(T a, T b) {
  return static_cast<T>(a + b);
}
__device__ bool sum_of(bool a, bool b) { return a || b; }
__device__ __half sum_of(__half a, __half b) { return __float2half_rn(__half2float(a) + __half2float(b)); }
__device__ __nv_bfloat16 sum_of(__nv_bfloat16 a, __nv_bfloat16 b) {
  return __float2bfloat16_rn(__bfloat162float(a) + __bfloat162float(b));
}

struct Along {  // an axis: how many, and the strides of the input, of the index, and of the output
  int64_t count, in, index, out;
};

// Operands: the input, the index and the output at the beginning of the axis. A thread for each line along
// the axis: no two write the same element, and each adds in order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    scatter_add(const __grid_constant__ Space lines, Along along, IndexRange range, int64_t* verdict) {
  take_turn();
  for_each_index(lines.total, [&](int64_t line) {
    int64_t at[3];
    locate(lines, line, at);
    for (int64_t i = 0; i < along.count; ++i) {
      const int64_t place =
          place_of(element<int64_t>(lines.operand[1], at[1] + i * along.index), range, verdict);
      if (place < 0) continue;
      T& cell = element<T>(lines.operand[2], at[2] + place * along.out);
      cell = sum_of(cell, element<T>(lines.operand[0], at[0] + i * along.in));
    }
  });
}

template <class T>
struct Stored {  // the type that the device computes a dtype's sums in
  using type = T;
};
template <>
struct Stored<Half> {
  using type = __half;
};
template <>
struct Stored<BFloat16> {
  using type = __nv_bfloat16;
};

}  // namespace

void drive_gather(Context& on, const View& in, const View& index, int axis, const View& out) {
  if (out.numel() == 0) return;
  const IndexRange range{"gather", in.shape[axis]};
  int64_t* const verdict = check_indices(on, index, range);
  const View views[] = {pinned(in, axis, out.shape), index, out};
  Space space(out.shape, Views(views, 3), {});
  const auto bytes = static_cast<int64_t>(size_of(in.dtype)), step = in.strides[axis] * bytes;
  const bool wide = step % Space::kWide == 0 && space.widen(size_of(in.dtype), 0b010);
  with_bits(wide ? Space::kWide : size_of(in.dtype), [&]<class Bits>() {
    start(on, space.total, gather<Bits>, space, range, step / static_cast<int64_t>(sizeof(Bits)), verdict);
  });
}

void drive_scatter_add(Context& on, const View& in, const View& index, int axis, const View& out) {
  if (in.numel() == 0) return;
  const IndexRange range{"scatter_add", out.shape[axis]};
  int64_t* const verdict = check_indices(on, index, range);
  const View lines[] = {without_axis(in, axis), without_axis(index, axis), without_axis(out, axis)};
  const Space space(lines[0].shape, Views(lines, 3), {});
  const Along along{in.shape[axis], in.strides[axis], index.strides[axis], out.strides[axis]};
  dispatch(in.dtype, [&]<class T>() {
    start(on, space.total, scatter_add<typename Stored<T>::type>, space, along, range, verdict);
  });
}

}  // namespace varve::cuda
