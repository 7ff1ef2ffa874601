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

TEST_CASE("ops along axes longer than a task agree with plain loops") { check_long_axes(cpu_backend()); }
