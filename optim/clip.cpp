#include <varve/optim/clip.h>

#include <fmt/format.h>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/record.h>

namespace varve::optim {

Tensor clip_grad_norm(const Tensors& parameters, double max_norm) {
  if (!(max_norm >= 0))
    throw Error(fmt::format("clip_grad_norm: max_norm = {}; required is at least 0", max_norm));
  const NoGrad guard;
  Tensor squares;
  for (const Tensor& p : parameters) {
    if (!p.grad().defined()) continue;
    const Tensor wide = cast(p.grad(), dtype_of_compute(compute_of(p.grad().dtype())));
    const Tensor square = sum(wide * wide);
    squares = squares.defined() ? squares + cast(square, squares.dtype()) : square;
  }
  if (!squares.defined())
    throw Error("clip_grad_norm: no parameter has a gradient; call it after backward()");
  const Tensor norm = sqrt(squares), scale = minimum(max_norm / (norm + 1e-6), 1);
  for (const Tensor& p : parameters)
    if (p.grad().defined()) p.set_grad(p.grad() * cast(scale, p.grad().dtype()));
  return norm;
}

}  // namespace varve::optim
