// Ops that draw from a generator; its state is an input they update.
#pragma once

#include <varve/core/op.h>
#include <varve/core/random.h>

namespace varve {

inline constexpr std::string_view kDrawNames[]{"uniform", "normal"};

template <RandomFn kFn>
struct Draw {  // input: state
  static constexpr OpName name{kDrawNames[static_cast<size_t>(kFn)], 1};
  static constexpr uint32_t updates = 1;
  Shape shape;
  DType dtype = DType::f32;
  static void fields(auto& self, auto&& field) {
    field("shape", self.shape);
    field("dtype", self.dtype);
  }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
};
using Uniform = Draw<RandomFn::uniform>;
using Normal = Draw<RandomFn::normal>;

struct DropoutMask {  // inputs: state, x (for its shape); 0 with probability p, else 1 / (1 - p)
  static constexpr OpName name{"dropout_mask", 1};
  static constexpr uint32_t updates = 1;
  double p = 0.5;
  static void fields(auto& self, auto&& field) { field("p", self.p); }
  VARVE_API Specs infer(const Specs& in) const;
  VARVE_API void run(Backend& on, Views in, Views out, const View& scratch) const;
};

// Uniform in [low, high), both rounded to dtype; low itself where they are equal. Error unless low <= high,
// finite.
VARVE_API Tensor rand(const Shape& shape, double low = 0, double high = 1, DType dtype = DType::f32,
                      const Generator& generator = default_generator());
// Normal with mean 0 and variance 1.
VARVE_API Tensor randn(const Shape& shape, DType dtype = DType::f32,
                       const Generator& generator = default_generator());
// x with each element zeroed with probability p, the others scaled by 1 / (1 - p)
// (Srivastava et al., JMLR 15, 2014).
VARVE_API Tensor dropout(const Tensor& x, double p, const Generator& generator);
inline Tensor dropout(const Tensor& x, double p = 0.5) {
  return dropout(x, p, default_generator(x.device()));
}

}  // namespace varve
