// Scatters: whatever is added to an element is added in the order of the input's axis, so its bits are always
// the same.
#include <bit>

#include <varve/core/axes.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/indices.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

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

// For each line of the index, told apart by their numbers, the places that it names, and from where.
__global__ void __launch_bounds__(kThreads)
    make_place_keys(const __grid_constant__ Space lines, Along along, IndexRange range, uint64_t* keys,
                    int64_t* from, int64_t* verdict) {
  take_turn();
  for_each_index(lines.total * along.count, [&](int64_t i) {
    const int64_t line = i / along.count, position = i % along.count;
    int64_t at[1];
    locate(lines, line, at);
    const int64_t index = element<int64_t>(lines.operand[0], at[0] + position * along.index);
    const int64_t place = place_of(index, range, verdict);
    keys[i] = static_cast<uint64_t>(line * (range.size + 1) + (place < 0 ? range.size : place));
    from[i] = position;
  });
}

// Operands: the input and the output at the beginning of the axis, and the number of the index's line. Keys
// are sorted: the first of equal ones adds for all.
template <class T>
__global__ void __launch_bounds__(kThreads)
    add_sorted(const __grid_constant__ Space lines, Along along, int64_t size, const uint64_t* keys,
               const int64_t* from) {
  take_turn();
  for_each_index(lines.total * along.count, [&](int64_t i) {
    int64_t at[3];
    locate(lines, i % lines.total, at);
    const int64_t first = at[2] * along.count, end = first + along.count;
    int64_t k = first + i / lines.total;
    const uint64_t key = keys[k];
    const int64_t place = static_cast<int64_t>(key) - at[2] * (size + 1);
    if (place == size || (k > first && keys[k - 1] == key)) return;
    T& cell = element<T>(lines.operand[1], at[1] + place * along.out);
    T sum = cell;
    for (; k < end && keys[k] == key; ++k)
      sum = sum_of(sum, element<T>(lines.operand[0], at[0] + from[k] * along.in));
    cell = sum;
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

// A view of `shape` whose offsets are numbers: of each line, which of the distinct ones of the index it has.
View numbers_of(const View& index, const Shape& shape) {
  View numbers = index;
  int64_t step = 1;
  for (int i = index.rank(); i-- > 0;) {
    const bool same = index.shape[i] != shape[i];
    numbers.strides[i] = same ? 0 : step;
    step *= index.shape[i];
  }
  numbers.shape = shape;
  return numbers;
}

// Few long lines would keep few threads busy: what is to be added is sorted by where it goes.
template <class T>
void scatter_sorted(Context& on, const View& in, const View& index, const View& out, const Along& along,
                    const IndexRange& range, int64_t* verdict) {
  const View distinct = without_broadcast(index);
  const View lines[] = {in, out, numbers_of(distinct, in.shape)};
  const Space keyed(distinct.shape, Views(&distinct, 1), {}), added(in.shape, Views(lines, 3), {});
  const int64_t total = keyed.total * along.count;
  const size_t bytes = static_cast<size_t>(total) * sizeof(int64_t);
  const Workspace keys(on, bytes), from(on, bytes), sorted_keys(on, bytes), sorted_from(on, bytes);
  start(on, total, make_place_keys, keyed, along, range, keys.as<uint64_t>(), from.as<int64_t>(), verdict);
  const auto last = static_cast<uint64_t>(keyed.total * (range.size + 1) - 1);
  sort_by_keys(on, keys.as<const uint64_t>(), from.as<const int64_t>(), sorted_keys.as<uint64_t>(),
               sorted_from.as<int64_t>(), total, std::bit_width(last));
  start(on, added.total * along.count, add_sorted<T>, added, along, range.size,
        sorted_keys.as<const uint64_t>(), sorted_from.as<const int64_t>());
}

}  // namespace

void drive_scatter_add(Context& on, const View& in, const View& index, int axis, const View& out) {
  if (in.numel() == 0) return;
  // Elements of a line; lines for each of the device's processors; what is sorted takes 48 bytes each. Not
  // yet measured.
  constexpr int64_t kLong = 256, kFewLines = 64, kMostSorted = int64_t{1} << 24;
  const IndexRange range{"scatter_add", out.shape[axis]};
  int64_t* const verdict = check_indices(on, index, range);
  const View lines[] = {without_axis(in, axis), without_axis(index, axis), without_axis(out, axis)};
  const Space space(lines[0].shape, Views(lines, 3), {});
  const Along along{in.shape[axis], in.strides[axis], index.strides[axis], out.strides[axis]};
  dispatch(in.dtype, [&]<class T>() {
    using Element = typename Stored<T>::type;
    if (along.count >= kLong && space.total < on.processors * kFewLines &&
        without_broadcast(lines[1]).numel() * along.count <= kMostSorted)
      scatter_sorted<Element>(on, lines[0], lines[1], lines[2], along, range, verdict);
    else
      start(on, space.total, scatter_add<Element>, space, along, range, verdict);
  });
}

}  // namespace varve::cuda
