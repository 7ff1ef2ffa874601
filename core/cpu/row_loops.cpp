// Functions of whole contiguous rows.
#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/row_forms.h>

namespace varve::cpu {
namespace {

using pointwise::maximum;

template <class T>
bool is_nan(T x) {
  return x != x;
}

template <class Rows>
auto largest(const Rows& rows) {
  typename Rows::Sums tops(-std::numeric_limits<double>::infinity());
  rows.each([&](const auto& v, int slot) { tops[slot] = maximum(tops[slot], v); });
  return rows.joined(tops, [](const auto& a, const auto& b) { return maximum(a, b); });
}

// y = softmax(x) times a number for each row
template <class T, class Rows>
void scaled_softmax(Rows& rows, const Lanes<T>& scale) {
  const Lanes<T> top = largest(rows);
  typename Rows::Sums sums(0.0);
  rows.map([&](const Lanes<T>& v, int slot) {
    const Lanes<T> e = exp(v - top);
    sums[slot] = sums[slot] + e;
    return e;
  });
  const Lanes<T> factor = scale / rows.joined(sums, std::plus<>());
  rows.remap([&](const Lanes<T>& v, int) { return v * factor; });
}

// log(sum exp(x)) = top + rest, apart, for neither drowns the other where it is subtracted.
template <class T>
struct LogSumExp {
  Lanes<T> top, rest;

  template <class Rows>
  explicit LogSumExp(const Rows& rows) : top(largest(rows)) {
    typename Rows::Sums sums(0.0);
    rows.each([&](const Lanes<T>& v, int slot) { sums[slot] = sums[slot] + exp(v - top); });
    rest = log(rows.joined(sums, std::plus<>()));
  }
};

// Flattened: exp is too large for the compiler's taste, and would get its registers through memory.
template <class T>
[[gnu::flatten]] void softmax(const RowBlock& block) {
  for_each_form<T>(block, 1, [](auto& rows) {
    scaled_softmax(rows, Lanes<T>(1.0));
    rows.finish();
  });
}

template <class T>
[[gnu::flatten]] void log_softmax(const RowBlock& block) {
  for_each_form<T>(block, 1, [](auto& rows) {
    const LogSumExp<T> of(rows);
    rows.map([&](const Lanes<T>& v, int) { return (v - of.top) - of.rest; });
    rows.finish();
  });
}

template <class T>
[[gnu::flatten]] void cross_entropy(const RowBlock& block) {
  for_each_form<T>(block, 2, [&](auto& rows) {
    const LogSumExp<T> of(rows);
    alignas(64) T top[Lanes<T>::kWidth], rest[Lanes<T>::kWidth];
    of.top.store(top);
    of.rest.store(rest);
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t row = rows.first + i, target = *block.row<const int64_t>(1, row);
      *block.row<T>(2, row) = rest[i] - (block.row<const T>(0, row)[target] - top[i]);
    }
  });
}

template <class T>
[[gnu::flatten]] void cross_entropy_slope(const RowBlock& block) {
  for_each_form<T>(block, 3, [&](auto& rows) {
    scaled_softmax(rows, rows.numbers(2));
    rows.finish();
    for (int64_t row = rows.first; row < rows.first + rows.count; ++row) {
      const int64_t target = *block.row<const int64_t>(1, row);
      block.row<T>(3, row)[target] -= *block.row<const T>(2, row);
    }
  });
}

// f(x, y, i, n) for the lanes of two rows, from i on; n of them are there, and the others 0.
template <class T>
void over_both(const T* x, const T* y, int64_t size, auto f) {
  constexpr int kWidth = Lanes<T>::kWidth;
  for (int64_t i = 0; i < size; i += kWidth) {
    const int n = static_cast<int>(std::min<int64_t>(kWidth, size - i));
    f(load_some(x + i, n, T(0)), load_some(y + i, n, T(0)), i, n);
  }
}

template <class T, bool kLog>
[[gnu::flatten]] void softmax_slope(const RowBlock& block) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const T *y = block.row<const T>(0, r), *dy = block.row<const T>(1, r);
    T* const dx = block.row<T>(2, r);
    Lanes<T> sums(0.0);
    over_both(y, dy, block.n,
              [&](const Lanes<T>& p, const Lanes<T>& d, int64_t, int) { sums = sums + (kLog ? d : p * d); });
    const Lanes<T> sum = in_every_lane(sums, std::plus<>());
    over_both(y, dy, block.n, [&](const Lanes<T>& p, const Lanes<T>& d, int64_t i, int n) {
      store_some(kLog ? d - exp(p) * sum : p * (d - sum), dx + i, n);
    });
  }
}

template <class T>
void cumsum(const RowBlock& block) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const T* x = block.row<const T>(0, r);
    std::partial_sum(x, x + block.n, block.row<T>(1, r));
  }
}

template <class T, bool kLargest>
void arg_extreme(const RowBlock& block) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const T* x = block.row<const T>(0, r);
    int64_t best = 0;
    for (int64_t i = 1; i < block.n && !is_nan(x[best]); ++i)
      if (is_nan(x[i]) || (kLargest ? x[i] > x[best] : x[i] < x[best])) best = i;
    *block.row<int64_t>(1, r) = best;
  }
}

template <class T, bool kDescending>
void sort_row(const T* x, T* y, int64_t* indices, int64_t n) {
  std::iota(indices, indices + n, 0);
  // The index decides between equals: stable without the memory std::stable_sort would allocate.
  std::sort(indices, indices + n, [x](int64_t a, int64_t b) {
    if (is_nan(x[a]) || is_nan(x[b])) return is_nan(x[a]) == is_nan(x[b]) ? a < b : !is_nan(x[a]);
    if (x[a] == x[b]) return a < b;
    return kDescending ? x[a] > x[b] : x[a] < x[b];
  });
  for (int64_t i = 0; i < n; ++i) y[i] = x[indices[i]];
}
template <class T, bool kDescending>
void sort(const RowBlock& block) {
  for (int64_t r = 0; r < block.rows; ++r)
    sort_row<T, kDescending>(block.row<const T>(0, r), block.row<T>(1, r), block.row<int64_t>(2, r), block.n);
}

template <class T>
void fill_for(Kernels& table, Compute compute) {
  const auto c = static_cast<size_t>(compute);
  const auto entry = [&](RowFn fn) -> RowLoop& { return table.rows[static_cast<size_t>(fn)][c]; };
  if constexpr (std::is_floating_point_v<T>) {
    entry(RowFn::softmax) = softmax<T>;
    entry(RowFn::log_softmax) = log_softmax<T>;
    entry(RowFn::softmax_slope) = softmax_slope<T, false>;
    entry(RowFn::log_softmax_slope) = softmax_slope<T, true>;
    entry(RowFn::cross_entropy) = cross_entropy<T>;
    entry(RowFn::cross_entropy_slope) = cross_entropy_slope<T>;
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
