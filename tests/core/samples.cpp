// Samples<Op> for every op in AllOps; one without a specialisation does not compile.
#include "tests/core/samples.h"

#include "tests/core/samples_ops.h"
#include "tests/core/samples_views.h"

namespace varve::test {
namespace {

template <class T>
constexpr uint32_t fixed_inputs() {
  if constexpr (requires { Samples<T>::kFixed; })
    return Samples<T>::kFixed;
  else
    return 0;
}

template <class T>
std::vector<AnySample> make(DType dtype) {
  Draws draws(index_in<T>(AllOps{}) + 1);
  std::vector<AnySample> out;
  for (const Sample<T>& sample : Samples<T>::make(draws, dtype)) {
    out.push_back({OpOf<T>(sample.op).share(), sample.in, fixed_inputs<T>(), nullptr});
    if constexpr (requires(Shape s, Dims at) { Samples<T>::source(sample.op, s, s, at, size_t{}); })
      out.back().source = [](const AnyOp& op, const Shape& in, const Shape& y, const Dims& at, size_t i) {
        return Samples<T>::source(static_cast<const OpOf<T>&>(op).op(), in, y, at, i);
      };
    else if constexpr (requires(Shape s, Dims at) { Samples<T>::source(sample.op, s, s, at); })
      out.back().source = [](const AnyOp& op, const Shape& in, const Shape& y, const Dims& at, size_t) {
        return Samples<T>::source(static_cast<const OpOf<T>&>(op).op(), in, y, at);
      };
  }
  return out;
}

}  // namespace

const std::vector<OpSamples>& all_samples() {
  static const std::vector<OpSamples> samples = [] {
    std::vector<OpSamples> all;
    for_each_type(AllOps{}, [&]<class T>() { all.push_back({T::name.name, Samples<T>::kAccepts, make<T>}); });
    return all;
  }();
  return samples;
}

}  // namespace varve::test
