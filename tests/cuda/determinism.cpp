// The same input gives the same bits, run after run, on the GPU.
#include "tests/core/parity.h"
#include "tests/cuda/gpu.h"

using namespace varve;
using namespace varve::test;

namespace {

void check_twice(Backend& on, const AnyOp& op, const std::function<Tensors()>& inputs) {
  CAPTURE(to_string(op));
  const Tensors in = inputs(), again = inputs();
  const Tensors x = run_on(on, op, in), y = run_on(on, op, again);
  for (size_t i = 0; i < x.size(); ++i) CHECK(identical(x[i], y[i]));
  for (size_t i = 0; i < in.size(); ++i)
    if (op.writes(i)) CHECK(identical(in[i], again[i]));
}

}  // namespace

TEST_CASE("every op gives the same bits twice, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  for (const DType dtype : {DType::f32, DType::f64})
    for_each_op(dtype, [&](const std::vector<AnySample>& samples) {
      for (const AnySample& sample : samples)
        if (!sample.source) check_twice(*on, *sample.op, [&] { return laid_out_for(sample, Layout::plain); });
    });
}

TEST_CASE("large sums, products, scans, sorts and scatters give the same bits twice, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Draws draws(9);
  const Tensor x = draws.numbers({1500, 701}, DType::f32), index = draws.indices({1500, 1}, 40);
  const auto check = [&](const auto& op, const Tensors& in) {
    check_twice(*on, OpOf(op), [&] { return in; });
  };
  for (const Axes& axes : {Axes{}, Axes{0}, Axes{1}}) check(Sum{axes, false}, {x});
  check(Mean{}, {transpose(x)});
  check(Softmax{}, {x});
  check(Cumsum{}, {x});
  check(Sort{}, {x});
  check(Matmul{false, true}, {x, x});
  check(Matmul{true, false}, {x, x});
  check(ScatterAdd{0}, {zeros({40, 701}), index, x});
}
