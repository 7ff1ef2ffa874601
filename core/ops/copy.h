// Ops that move elements: clone, cast, assign in place, concatenate, pad.
#pragma once

#include <varve/core/op.h>

namespace varve {

struct Clone {  // a contiguous copy
  static constexpr OpName name{"clone", 1};
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  std::optional<RowUse> rows(Views, Views) const { return RowUse{}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Cast {
  static constexpr OpName name{"cast", 1};
  DType dtype = DType::f32;
  static void fields(auto& self, auto&& field) { field("dtype", self.dtype); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  std::optional<RowUse> rows(Views, Views) const { return RowUse{}; }
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Assign {  // input 0 becomes input 1, broadcast and converted
  static constexpr OpName name{"assign", 1};
  static constexpr uint32_t updates = 1;
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  std::optional<RowUse> rows(Views, Views) const { return RowUse{}; }
};

struct Cat {
  static constexpr OpName name{"cat", 1};
  int64_t axis = 0;
  static void fields(auto& self, auto&& field) { field("axis", self.axis); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

struct Pad {  // `low` values before, `high` after and `interior` between the elements along axis: the adjoint
              // of slice
  static constexpr OpName name{"pad", 1};
  int64_t axis = 0, low = 0, high = 0, interior = 0;
  double value = 0;
  static void fields(auto& self, auto&& field) {
    field("axis", self.axis);
    field("low", self.low);
    field("high", self.high);
    field("interior", self.interior);
    field("value", self.value);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
  VARVE_API Tensors vjp(const Saved& s, const Tensors& dy) const;
};

// A contiguous copy with memory of its own.
VARVE_API Tensor clone(const Tensor& x);
// x itself if contiguous, else a clone.
VARVE_API Tensor contiguous(const Tensor& x);
// Converted; x itself if it has that dtype. Float to integer truncates, saturates, and takes NaN to 0.
VARVE_API Tensor cast(const Tensor& x, DType dtype);
// Joined along `axis`; the other sizes must agree.
VARVE_API Tensor cat(const Tensors& pieces, int64_t axis = 0);
// Joined along a new axis.
VARVE_API Tensor stack(const Tensors& pieces, int64_t axis = 0);
// Along `axis`: `low` times value, the elements of x with `interior` times value between neighbours, `high`
// times value. ShapeError where an amount is negative.
VARVE_API Tensor pad(const Tensor& x, int64_t axis, int64_t low, int64_t high, double value = 0,
                     int64_t interior = 0);

// Writes `value` at `bytes` as one element of `dtype`.
VARVE_API void write_element(DType dtype, double value, void* bytes);
// DTypeError unless `dtype` can hold `value`: an integer within its range, or a float that does not overflow.
VARVE_API void require_fits(double value, DType dtype, const char* operation);

}  // namespace varve
