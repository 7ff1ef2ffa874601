// Sorting along the last axis: all elements by unsigned keys that are ordered as the values are, then by
// their row. A radix sort is stable, so equal values keep their order, and rows what they were sorted into.
#include <bit>
#include <cub/device/device_radix_sort.cuh>
#include <limits>

#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// Larger for what comes later; the largest for NaN.
template <class T>
__device__ KeyOf<T> key_of(T x, bool descending) {
  using Key = KeyOf<T>;
  constexpr Key kSign = Key{1} << (sizeof(Key) * 8 - 1);
  if (x != x) return ~Key{0};
  if (x == T(0)) x = T(0);  // and not minus zero, which equals it
  Key key = std::bit_cast<Key>(x);
  if constexpr (std::is_floating_point_v<T>)
    key = key & kSign ? ~key : key | kSign;
  else if constexpr (std::is_signed_v<T>)
    key ^= kSign;
  return descending ? ~key : key;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    make_keys(const __grid_constant__ Space in, bool descending, KeyOf<T>* keys, int64_t* places) {
  take_turn();
  for_each_index(in.total, [&](int64_t i) {
    int64_t at[1];
    locate(in, i, at);
    keys[i] = key_of(element<T>(in.operand[0], at[0]), descending);
    places[i] = i;
  });
}

__global__ void __launch_bounds__(kThreads)
    make_row_keys(const int64_t* places, int64_t total, int64_t n, uint64_t* keys) {
  take_turn();
  for_each_index(total, [&](int64_t i) { keys[i] = static_cast<uint64_t>(places[i] / n); });
}

// The values of `in` at the sorted places, and those places within their row.
template <class T>
__global__ void __launch_bounds__(kThreads)
    put_sorted(const __grid_constant__ Space in, const __grid_constant__ Space out, int64_t n,
               const int64_t* places) {
  take_turn();
  for_each_index(in.total, [&](int64_t i) {
    int64_t from[1], to[2];
    locate(in, places[i], from);
    locate(out, i, to);
    element<T>(out.operand[0], to[0]) = element<T>(in.operand[0], from[0]);
    element<int64_t>(out.operand[1], to[1]) = places[i] % n;
  });
}

// As sort_by_keys.
template <class Key>
void sort_pairs(Context& on, const Key* keys, const int64_t* values, Key* sorted_keys, int64_t* sorted,
                int64_t total, int bits) {
  const auto sort = [&](void* temporary, size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(temporary, bytes, keys, sorted_keys, values, sorted, total, 0,
                                           bits, on.queue());
  };
  size_t bytes = 0;
  VARVE_CUDA_CHECK(sort(nullptr, bytes));
  const Workspace temporary(on, bytes);
  VARVE_CUDA_CHECK(sort(temporary.data(), bytes));
}

template <class T>
void sort(Context& on, bool descending, const View& in, Views out) {
  const Space from(in.shape, Views(&in, 1), {}), to(in.shape, out, {});
  const int64_t total = from.total, n = in.shape.back(), rows = total / n;
  const auto count = static_cast<size_t>(total);
  const Workspace places(on, count * sizeof(int64_t)), sorted(on, count * sizeof(int64_t)),
      keys(on, count * sizeof(uint64_t)), sorted_keys(on, count * sizeof(uint64_t));
  start(on, total, make_keys<T>, from, descending, keys.as<KeyOf<T>>(), places.as<int64_t>());
  sort_pairs(on, keys.as<const KeyOf<T>>(), places.as<const int64_t>(), sorted_keys.as<KeyOf<T>>(),
             sorted.as<int64_t>(), total, static_cast<int>(sizeof(T) * 8));
  const Workspace& order = rows > 1 ? places : sorted;
  if (rows > 1) {
    start(on, total, make_row_keys, sorted.as<const int64_t>(), total, n, keys.as<uint64_t>());
    sort_pairs(on, keys.as<const uint64_t>(), sorted.as<const int64_t>(), sorted_keys.as<uint64_t>(),
               places.as<int64_t>(), total, std::bit_width(static_cast<uint64_t>(rows - 1)));
  }
  start(on, total, put_sorted<T>, from, to, n, order.as<const int64_t>());
}

}  // namespace

void sort_by_keys(Context& on, const uint64_t* keys, const int64_t* values, uint64_t* sorted_keys,
                  int64_t* sorted, int64_t total, int bits) {
  sort_pairs(on, keys, values, sorted_keys, sorted, total, bits);
}

void drive_sort(Context& on, bool descending, const View& in, Views out) {
  with_compute(compute_of(in.dtype), [&]<class T>() { sort<T>(on, descending, in, out); });
}

}  // namespace varve::cuda
