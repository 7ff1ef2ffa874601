// Results of the CPU's kernels that would be denormal are zero, whichever thread computes them; nothing else
// changes.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <varve/core/cpu/flush.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/reduce.h>

using namespace varve;

TEST_CASE("what would be denormal is zero on every thread, and is read as it is") {
#if defined(__SSE__)
  const double least = std::numeric_limits<float>::min(), denormal = least / 4;
  for (const int64_t n : {1, 5, 1'000'000}) {
    CAPTURE(n);
    const Tensor small = full({n}, least);
    CHECK(sum(cast(small * 0.25 != 0.0, DType::i64)).item() == 0);
    CHECK(max(abs(small * 0.25)).item() == 0);
    CHECK(min(full({n}, denormal) * 16.0).item() == denormal * 16);  // not lost where it comes from elsewhere
    CHECK(min(clone(full({n}, denormal))).item() == denormal);
    CHECK(min(small).item() == least);
    CHECK(max(cast(full({n}, denormal, DType::f64), DType::f32)).item() == denormal);  // nor by a conversion
  }
  const int64_t n = 300;  // two threads' worth
  const Tensor products = matmul(full({n, 1}, least), full({1, n}, 0.25));
  CHECK(max(products).item() == 0);
#else
  MESSAGE("skipped: denormal results are flushed on x86 alone");
#endif
}

TEST_CASE("threads that were made while results were flushed convert as their callers do") {
  const int before = threads();
  set_threads(1);
  {
    const cpu::Flush flush;
    set_threads(4);
  }
  const double denormal = std::numeric_limits<float>::min() / 4;
  for (int i = 0; i < 5; ++i)
    CHECK(min(cast(full({1 << 21}, denormal, DType::f64), DType::f32)).item() == denormal);
  set_threads(before);
}

TEST_CASE("a caller's own arithmetic keeps its denormal numbers") {
  const Tensor x = full({1000}, 1);
  CHECK((x + x)[0].item() == 2);
  volatile float least = std::numeric_limits<float>::min();
  CHECK(least / 4 > 0);
}
