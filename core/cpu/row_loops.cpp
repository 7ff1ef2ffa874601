// Functions of a whole contiguous row.
#include <algorithm>
#include <limits>
#include <numeric>

#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/lanes.h>

namespace varve::cpu {
namespace {

template <class T>
bool is_nan(T x) {
  return x != x;
}

// Calls body(register, first, count) over the row; the last, short one is padded with `pad`.
template <class T, class Body>
void over_lanes(const T* x, int64_t n, T pad, Body body) {
  constexpr int kWidth = Lanes<T>::kWidth;
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) body(Lanes<T>::load(x + i), i, kWidth);
  if (i == n) return;
  alignas(64) T padded[kWidth];
  std::fill_n(padded, kWidth, pad);
  std::copy_n(x + i, n - i, padded);
  body(Lanes<T>::load(padded), i, static_cast<int>(n - i));
}

template <class T>
T folded(const Lanes<T>& v, auto combine) {
  alignas(64) T lanes[Lanes<T>::kWidth];
  v.store(lanes);
  for (int half = Lanes<T>::kWidth / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] = combine(lanes[i], lanes[i + half]);
  return lanes[0];
}

template <class T>
void put(const Lanes<T>& v, T* y, int count) {
  if (count == Lanes<T>::kWidth) return v.store(y);
  alignas(64) T lanes[Lanes<T>::kWidth];
  v.store(lanes);
  std::copy_n(lanes, count, y);
}

template <class T>
T largest(const T* x, int64_t n) {
  Lanes<T> top(-std::numeric_limits<double>::infinity());
  over_lanes<T>(x, n, -std::numeric_limits<T>::infinity(),
                [&](const Lanes<T>& v, int64_t, int) { top = maximum(top, v); });
  return folded<T>(top, [](T a, T b) { return pointwise::maximum(a, b); });
}

// y = exp(x - top), and its sum.
template <class T>
T exponentials(const T* x, T top, T* y, int64_t n) {
  Lanes<T> sum(0.0);
  over_lanes<T>(x, n, -std::numeric_limits<T>::infinity(), [&](const Lanes<T>& v, int64_t i, int count) {
    const Lanes<T> e = exp(v - Lanes<T>(top));
    sum = sum + e;
    put(e, y + i, count);
  });
  return folded<T>(sum, [](T a, T b) { return a + b; });
}

template <class T>
void softmax(const void* from, void* to, int64_t*, int64_t n) {
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  const T sum = exponentials(x, largest(x, n), y, n);
  over_lanes<T>(y, n, T(0),
                [&](const Lanes<T>& v, int64_t i, int count) { put(v / Lanes<T>(sum), y + i, count); });
}

template <class T>
void log_softmax(const void* from, void* to, int64_t*, int64_t n) {
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  const T top = largest(x, n);
  const T shift = std::log(exponentials(x, top, y, n));
  over_lanes<T>(x, n, T(0), [&](const Lanes<T>& v, int64_t i, int count) {
    put((v - Lanes<T>(top)) - Lanes<T>(shift), y + i, count);
  });
}

template <class T>
void cumsum(const void* from, void* to, int64_t*, int64_t n) {
  const T* x = static_cast<const T*>(from);
  std::partial_sum(x, x + n, static_cast<T*>(to));
}

template <class T, bool kLargest>
void arg_extreme(const void* from, void* to, int64_t*, int64_t n) {
  const T* x = static_cast<const T*>(from);
  int64_t best = 0;
  for (int64_t i = 1; i < n && !is_nan(x[best]); ++i)
    if (is_nan(x[i]) || (kLargest ? x[i] > x[best] : x[i] < x[best])) best = i;
  *static_cast<int64_t*>(to) = best;
}

template <class T, bool kDescending>
void sort(const void* from, void* to, int64_t* indices, int64_t n) {
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  std::iota(indices, indices + n, 0);
  // The index decides between equals: stable without the memory std::stable_sort would allocate.
  std::sort(indices, indices + n, [x](int64_t a, int64_t b) {
    if (is_nan(x[a]) || is_nan(x[b])) return is_nan(x[a]) == is_nan(x[b]) ? a < b : !is_nan(x[a]);
    if (x[a] == x[b]) return a < b;
    return kDescending ? x[a] > x[b] : x[a] < x[b];
  });
  for (int64_t i = 0; i < n; ++i) y[i] = x[indices[i]];
}

template <class T>
void fill_for(Kernels& table, Compute compute) {
  const auto c = static_cast<size_t>(compute);
  const auto entry = [&](RowFn fn) -> RowLoop& { return table.rows[static_cast<size_t>(fn)][c]; };
  if constexpr (std::is_floating_point_v<T>) {
    entry(RowFn::softmax) = softmax<T>;
    entry(RowFn::log_softmax) = log_softmax<T>;
  }
  entry(RowFn::cumsum) = cumsum<T>;
  entry(RowFn::argmax) = arg_extreme<T, true>;
  entry(RowFn::argmin) = arg_extreme<T, false>;
  entry(RowFn::sort) = sort<T, false>;
  entry(RowFn::sort_descending) = sort<T, true>;
}

}  // namespace

void fill_rows(Kernels& table) {
  fill_for<float>(table, Compute::f32);
  fill_for<double>(table, Compute::f64);
  fill_for<int64_t>(table, Compute::i64);
  fill_for<uint64_t>(table, Compute::u64);
}

}  // namespace varve::cpu
