#include <varve/core/ops/random.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <varve/core/ops/pointwise.h>

namespace varve {
namespace {

void check_state(const Specs& in, size_t count, const char* op) {
  require_inputs(in, count, op);
  if (in[0] != Spec{DType::u64, {2}})
    throw ShapeError(
        fmt::format("{}: input 0 is {}; required is a generator's state, u64[2]", op, to_string(in[0])));
}

void check_floating(DType dtype, const char* op) {
  if (!is_floating(dtype))
    throw DTypeError(fmt::format("{}: dtype {}; required is a floating type", op, name_of(dtype)));
}

// The largest number below `high`, of a floating dtype.
double below(double high, DType dtype) {
  return dispatch(dtype, [&]<class T>() -> double {
    T x = static_cast<T>(high);
    if constexpr (std::is_floating_point_v<T>)
      x = std::nextafter(x, -std::numeric_limits<T>::infinity());
    else if constexpr (is_floating(dtype_of<T>))  // magnitudes are ordered like their bits
      x.bits = static_cast<uint16_t>((x.bits & 0x7fff) == 0 ? 0x8001
                                     : x.bits & 0x8000      ? x.bits + 1
                                                            : x.bits - 1);
    return x;
  });
}

}  // namespace

template <RandomFn kFn>
Specs Draw<kFn>::infer(const Specs& in) const {
  check_state(in, 1, name.name.data());
  check_floating(dtype, name.name.data());
  numel(shape);
  return {{dtype, shape}};
}
template <RandomFn kFn>
void Draw<kFn>::run(Backend& on, Views in, Views out, const View&) const {
  on.random(kFn, 0, in[0], out[0]);
}
template struct Draw<RandomFn::uniform>;
template struct Draw<RandomFn::normal>;

Specs DropoutMask::infer(const Specs& in) const {
  check_state(in, 2, "dropout");
  check_floating(in[1].dtype, "dropout");
  if (!(p >= 0 && p <= 1)) throw Error(fmt::format("dropout: p = {}; required is 0 <= p <= 1", p));
  return {in[1]};
}
void DropoutMask::run(Backend& on, Views in, Views out, const View&) const {
  on.random(RandomFn::dropout, p, in[0], out[0]);
}

Tensor rand(const Shape& shape, double low, double high, DType dtype, const Generator& generator) {
  if (!(low <= high && std::isfinite(high - low)))
    throw Error(
        fmt::format("rand: from {} to {}; required are finite bounds, the lower one first", low, high));
  const Tensor u = apply_one(Uniform{shape, dtype}, {generator.state()});
  if (low == 0 && high == 1) return u;
  return minimum(u * (high - low) + low, std::max(low, below(high, dtype)));  // the sum may round up to high
}

Tensor randn(const Shape& shape, DType dtype, const Generator& generator) {
  return apply_one(Normal{shape, dtype}, {generator.state()});
}

Tensor dropout(const Tensor& x, double p, const Generator& generator) {
  return x * apply_one(DropoutMask{p}, {generator.state(), x});
}

}  // namespace varve
