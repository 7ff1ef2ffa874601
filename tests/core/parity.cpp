// Every op of the list on the CPU backend, against plain loops, in every dtype it takes and every layout.
#include "tests/core/parity.h"

using namespace varve;
using namespace varve::test;

TEST_CASE("every op gives what plain loops give, in every dtype and layout") {
  for (size_t d = 0; d < kDTypes; ++d)
    for_each_op(static_cast<DType>(d), [](const std::vector<AnySample>& samples) {
      for (const AnySample& sample : samples)
        for (Layout layout : kLayouts) check_parity(sample, layout);
    });
}

TEST_CASE("an op refuses the dtypes it does not take") {
  for (const OpSamples& samples : all_samples())
    for (size_t d = 0; d < kDTypes; ++d) {
      const auto dtype = static_cast<DType>(d);
      if (accepted(samples.accepts, dtype)) continue;
      const AnySample sample = samples.make(DType::f32)[1];
      Specs specs;
      for (const Tensor& t : sample.in)
        specs.push_back({t.dtype() == DType::f32 ? dtype : t.dtype(), t.shape()});
      Attributes attributes = sample.op->attributes();
      for (auto& [name, value] : attributes)
        if (name == "dtype") value = std::string(name_of(dtype));
      CAPTURE(samples.name);
      CHECK_THROWS_AS(make_op(samples.name, sample.op->name().version, attributes)->infer(specs), DTypeError);
    }
}

TEST_CASE("ops along axes longer than a task agree with plain loops") {
  ReferenceBackend reference;
  Draws draws(3);
  const auto check = [&](const auto& op, const Tensors& in) {
    const OpOf boxed(op);
    CAPTURE(to_string(boxed));
    const Tensors y = run_on(cpu_backend(), boxed, in), expected = run_on(reference, boxed, in);
    for (size_t i = 0; i < y.size(); ++i) {
      const double scale = is_floating(y[i].dtype()) ? 1.0 / 300 : 1;  // sums of 90,000 numbers
      if (is_floating(y[i].dtype()))
        CHECK(difference((y[i] * scale).view(), (expected[i] * scale).view()) == "");
      else
        CHECK(difference(y[i].view(), expected[i].view()) == "");
    }
  };
  const Tensor x = draws.numbers({300, 301}, DType::f32);
  for (const Tensor& t : {x, transpose(x), flip(slice(x, 1, 1, 300, 3), 0)}) {
    for (const Axes& axes : {Axes{}, Axes{0}, Axes{1}}) {
      check(Sum{axes, false}, {t});
      check(Max{axes, false}, {t});
    }
    check(Elementwise<pointwise::Tanh>{}, {t});
    check(Softmax{}, {t});
    check(Sort{}, {t});
    check(Clone{}, {t});
    check(Gather{0}, {t, draws.indices({400, 1}, t.size(0))});
  }
  check(Matmul{}, {draws.numbers({150, 130}, DType::f32), draws.numbers({130, 260}, DType::f32)});
  check(ScatterAdd{0}, {draws.numbers({9, 601}, DType::f32), draws.indices({200, 1}, 9),
                        draws.numbers({200, 601}, DType::f32)});
}
