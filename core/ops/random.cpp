#include <varve/core/ops/random.h>

#include <fmt/format.h>

#include <varve/core/ops/pointwise.h>

namespace varve {
namespace {

void check_state(const Specs& in, size_t count, const char* op) {
  if (in.size() != count || in[0] != Spec{DType::u64, {2}})
    throw ShapeError(fmt::format("{}: input 0 must be a generator's state, u64[2]", op));
}

void check_floating(DType dtype, const char* op) {
  if (!is_floating(dtype))
    throw DTypeError(fmt::format("{}: dtype {}; required is a floating type", op, name_of(dtype)));
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
  const Tensor u = apply_one(Uniform{shape, dtype}, {generator.state()});
  return low == 0 && high == 1 ? u : u * (high - low) + low;
}

Tensor randn(const Shape& shape, DType dtype, const Generator& generator) {
  return apply_one(Normal{shape, dtype}, {generator.state()});
}

Tensor dropout(const Tensor& x, double p, const Generator& generator) {
  return x * apply_one(DropoutMask{p}, {generator.state(), x});
}

}  // namespace varve
