// Rows of a block in two forms, for functions written once over both: a long row lies along the lanes, and
// short ones lie side by side, a lane for each, so that they have neither a tail nor lanes to join. Either
// form joins the same numbers in the same order, so that a row has the same bits in both.
//
//   each(f), map(f), remap(f)   f(v, slot) over x; y = f over x; y = f over y. The tail is padded with
//                               -infinity; what is added up is added up by slots
//   joined(slots, join)         what the slots make together, in every lane of its row
//   numbers(k)                  the number that each row has as operand k, in every lane of its row
//   finish()                    after map and remap: takes y where it belongs
#pragma once

#include <algorithm>
#include <limits>

#include <varve/core/cpu/kernels.h>
#include <varve/core/cpu/lanes.h>

namespace varve::cpu {

// What the lanes make together by a fixed tree.
template <class T>
Lanes<T> in_every_lane(const Lanes<T>& v, auto join) {
  constexpr int kWidth = Lanes<T>::kWidth;
  alignas(64) T lanes[kWidth];
  v.store(lanes);
  for (int half = kWidth / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] = join(lanes[i], lanes[i + half]);
  return Lanes<T>(lanes[0]);
}

// The first n lanes from memory, and to it; the others are `otherwise`.
template <class T>
Lanes<T> load_some(const T* from, int n, T otherwise) {
  if (n == Lanes<T>::kWidth) return Lanes<T>::load(from);
  alignas(64) T lanes[Lanes<T>::kWidth];
  std::fill_n(lanes, Lanes<T>::kWidth, otherwise);
  std::copy_n(from, n, lanes);
  return Lanes<T>::load(lanes);
}
template <class T>
void store_some(const Lanes<T>& v, T* to, int n) {
  if (n == Lanes<T>::kWidth) return v.store(to);
  alignas(64) T lanes[Lanes<T>::kWidth];
  v.store(lanes);
  std::copy_n(lanes, n, to);
}

template <class T, int kCount>
struct Slots {
  Lanes<T> v[kCount];
  explicit Slots(double start) { std::ranges::fill(v, Lanes<T>(start)); }
  Lanes<T>& operator[](int slot) { return v[slot]; }
};

template <class T>
class LongRow {
 public:
  static constexpr int kWidth = Lanes<T>::kWidth;
  using Sums = Slots<T, 1>;

  LongRow(const RowBlock& block, int64_t row, size_t out)
      : first(row), block_(block), x_(block.row<const T>(0, row)), y_(block.row<T>(out, row)) {}
  const int64_t first, count = 1;  // of the block's rows, those that are here

  void each(auto f) const {
    over(x_, [&](const Lanes<T>& v, int64_t, int) { f(v, 0); });
  }
  void map(auto f) const {
    over(x_, [&](const Lanes<T>& v, int64_t i, int n) { store_some(f(v, 0), y_ + i, n); });
  }
  void remap(auto f) const {
    over(y_, [&](const Lanes<T>& v, int64_t i, int n) { store_some(f(v, 0), y_ + i, n); });
  }
  Lanes<T> joined(const Sums& sums, auto join) const { return in_every_lane(sums.v[0], join); }
  Lanes<T> numbers(size_t operand) const { return Lanes<T>(*block_.row<const T>(operand, first)); }
  void finish() const {}

 private:
  // One place where f is called, for it to be inlined there.
  void over(const T* from, auto f) const {
    for (int64_t i = 0; i < block_.n; i += kWidth) {
      const int n = static_cast<int>(std::min<int64_t>(kWidth, block_.n - i));
      f(load_some(from + i, n, -std::numeric_limits<T>::infinity()), i, n);
    }
  }

  const RowBlock& block_;
  const T* const x_;
  T* const y_;
};

template <class T>
class ShortRows {
 public:
  static constexpr int kWidth = Lanes<T>::kWidth;
  using Sums = Slots<T, kWidth>;
  static constexpr int64_t kLongest = 128, kFewest = kWidth / 2;  // what pays

  ShortRows(const RowBlock& block, int64_t row, size_t out)
      : first(row), count(std::min<int64_t>(kWidth, block.rows - row)), block_(block), out_(out) {
    for (int64_t r = 0; r < kWidth; ++r) {
      const T* x = row_in_lane<const T>(0, r);
      for (int64_t j = 0; j < block.n; ++j) columns_[j * kWidth + r] = x[j];
    }
  }
  const int64_t first, count;

  void each(auto f) const {
    for (int64_t j = 0; j < block_.n; ++j)
      f(Lanes<T>::load(columns_ + j * kWidth), static_cast<int>(j % kWidth));
  }
  void map(auto f) {
    for (int64_t j = 0; j < block_.n; ++j) {
      T* const column = columns_ + j * kWidth;
      f(Lanes<T>::load(column), static_cast<int>(j % kWidth)).store(column);
    }
  }
  void remap(auto f) { map(f); }
  Lanes<T> joined(Sums sums, auto join) const {
    for (int half = kWidth / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) sums[i] = join(sums[i], sums[i + half]);
    return sums[0];
  }
  Lanes<T> numbers(size_t operand) const {
    alignas(64) T lanes[kWidth];
    for (int64_t r = 0; r < kWidth; ++r) lanes[r] = *row_in_lane<const T>(operand, r);
    return Lanes<T>::load(lanes);
  }
  void finish() const {
    for (int64_t r = 0; r < count; ++r) {
      T* y = row_in_lane<T>(out_, r);
      for (int64_t j = 0; j < block_.n; ++j) y[j] = columns_[j * kWidth + r];
    }
  }

 private:
  // Lanes without a row repeat the last.
  template <class U>
  U* row_in_lane(size_t operand, int64_t r) const {
    return block_.row<U>(operand, first + std::min(r, count - 1));
  }

  const RowBlock& block_;
  const size_t out_;
  alignas(64) T columns_[kLongest * kWidth];
};

// Calls f(rows) with all rows of a block in the form that suits them; operand `out` is y.
template <class T, class F>
void for_each_form(const RowBlock& block, size_t out, F&& f) {
  for (int64_t r = 0; r < block.rows;) {
    if (block.n <= ShortRows<T>::kLongest && block.rows - r >= ShortRows<T>::kFewest) {
      ShortRows<T> rows(block, r, out);
      f(rows);
      r += rows.count;
    } else {
      LongRow<T> row(block, r++, out);
      f(row);
    }
  }
}

}  // namespace varve::cpu
