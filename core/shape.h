// Dims: up to eight integers held in place, so that shapes cost no allocation. Shape, Strides and Axes are
// uses of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <varve/core/export.h>

namespace varve {

inline constexpr int kMaxRank = 8;

class VARVE_API Dims {
 public:
  Dims() = default;
  Dims(const Dims& o) { *this = o; }
  // What there is, one by one: a copy in wider pieces waits for what was just written in narrower ones.
  Dims& operator=(const Dims& o) {
    rank_ = o.rank_;
    [&]<int... i>(std::integer_sequence<int, i...>) {
      static_cast<void>(((i < rank_ && (dims_[i] = o.dims_[i], true)) && ...));
    }
    (std::make_integer_sequence<int, kMaxRank>{});
    return *this;
  }
  Dims(std::initializer_list<int64_t> dims) : Dims(std::span(dims.begin(), dims.size())) {}
  explicit Dims(std::span<const int64_t> dims);  // ShapeError above kMaxRank
  static Dims filled(int rank, int64_t value);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  int64_t operator[](int i) const { return dims_[checked(i)]; }  // ShapeError unless 0 <= i < rank
  int64_t& operator[](int i) { return dims_[checked(i)]; }
  int64_t back() const { return (*this)[rank_ - 1]; }
  int64_t& back() { return (*this)[rank_ - 1]; }
  const int64_t* begin() const { return dims_; }
  const int64_t* end() const { return dims_ + rank_; }

  void push_back(int64_t dim);  // ShapeError above kMaxRank
  void insert(int at, int64_t dim);
  void erase(int at);
  bool contains(int64_t value) const;
  friend bool operator==(const Dims& a, const Dims& b) {
    bool same = a.rank_ == b.rank_;
    for (int i = 0; same && i < a.rank_; ++i) same = a.dims_[i] == b.dims_[i];
    return same;
  }

 private:
  int checked(int i) const {
    if (i < 0 || i >= rank_ || i >= kMaxRank) out_of_range(i);
    return i;
  }
  [[noreturn]] void out_of_range(int i) const;

  int64_t dims_[kMaxRank];  // those from rank_ on mean nothing
  int rank_ = 0;
};

using Shape = Dims;    // sizes, outermost first; [] is a scalar
using Strides = Dims;  // steps in elements, one for each axis; 0 where broadcast, negative where flipped
using Axes = Dims;     // axis numbers; negative ones count from the end

VARVE_API int64_t numel(const Shape& shape);  // product; ShapeError if negative or too many
VARVE_API Strides contiguous_strides(const Shape& shape);
VARVE_API std::string to_string(const Dims& dims);  // "[64, 784]"

// The axis in 0..rank-1; ShapeError naming `operation` when out of range.
VARVE_API int normalize_axis(int64_t axis, int rank, std::string_view operation);
// Axes in ascending order without repeats; none given means all of them.
VARVE_API Axes normalize_axes(const Axes& axes, int rank, std::string_view operation);
// NumPy's rule: aligned at the last axis, sizes equal or 1. ShapeError naming `operation`.
VARVE_API Shape broadcast(const Shape& a, const Shape& b, std::string_view operation);

}  // namespace varve
