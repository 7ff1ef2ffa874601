// Every op of the list on the GPU, against plain loops, in every dtype it takes and every layout.
#include "tests/core/parity.h"
#include "tests/cuda/gpu.h"

using namespace varve;
using namespace varve::test;

namespace {

void check_dtype(DType dtype, Backend& tested) {
  for_each_op(dtype, [&](const std::vector<AnySample>& samples) {
    for (const AnySample& sample : samples)
      for (Layout layout : kLayouts) {
        try {
          check_parity(sample, layout, tested);
        } catch (const Error& e) {
          const std::string what = to_string(*sample.op) + " in " + std::string(name_of(dtype)) + ", " +
                                   name_of(layout) + ": " + e.what();
          FAIL(what);
        }
      }
  });
}

template <class T>
int64_t place_of(T value) {  // among the numbers of its type
  using Bits =
      std::conditional_t<sizeof(T) == 8, int64_t, std::conditional_t<sizeof(T) == 4, int32_t, int16_t>>;
  const auto bits = std::bit_cast<Bits>(value);
  return bits < 0 ? int64_t{std::numeric_limits<Bits>::min()} - bits : bits;
}

// How far two elements of one place are apart, at most.
int64_t ulps_between(const Tensor& a, const Tensor& b) {
  int64_t most = 0;
  dispatch(a.dtype(), [&]<class T>() {
    if constexpr (!std::is_integral_v<T>)
      for (size_t i = 0; i < static_cast<size_t>(a.numel()); ++i)
        most = std::max(most, std::abs(place_of(a.data<T>()[i]) - place_of(b.data<T>()[i])));
  });
  return most;
}

}  // namespace

TEST_CASE("every op gives what plain loops give, in f32, on the GPU") {
  if (Backend* on = gpu()) check_dtype(DType::f32, *on);
}
TEST_CASE("every op gives what plain loops give, in f64, on the GPU") {
  if (Backend* on = gpu()) check_dtype(DType::f64, *on);
}
TEST_CASE("every op gives what plain loops give, in the other dtypes, on the GPU") {
  Backend* on = gpu();
  for (size_t d = 2; on && d < kDTypes; ++d) check_dtype(static_cast<DType>(d), *on);
}
TEST_CASE("ops along axes longer than a block agree with plain loops, on the GPU") {
  if (Backend* on = gpu()) check_long_axes(*on);
}

TEST_CASE("copies between all dtypes agree with plain loops, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  ReferenceBackend reference;
  const Tensor x = tensor<double>({0,
                                   -0.0,
                                   0.4,
                                   -0.6,
                                   1.5,
                                   2.5,
                                   -3.5,
                                   127.6,
                                   128,
                                   255.5,
                                   256,
                                   32768.5,
                                   65519,
                                   65520,
                                   70000,
                                   -70000,
                                   2147483648.0,
                                   1e10,
                                   -1e10,
                                   9.3e18,
                                   1.9e19,
                                   1e300,
                                   -1e300,
                                   6e-8,
                                   3e-8,
                                   1.00048828125,
                                   1.000488281250001,
                                   1.00390625,
                                   1.00390625000001,
                                   HUGE_VAL,
                                   -HUGE_VAL,
                                   std::nan("")});
  for (size_t from = 0; from < kDTypes; ++from)
    for (size_t to = 0; to < kDTypes; ++to) {
      const OpOf op(Cast{static_cast<DType>(to)});
      const Tensor given = cast(x, static_cast<DType>(from));
      CAPTURE(name_of(static_cast<DType>(from)));
      CAPTURE(to_string(op));
      CHECK(difference(run_on(*on, op, {given})[0].view(), run_on(reference, op, {given})[0].view()) == "");
    }
}

TEST_CASE(
    "uniform numbers, dropout masks and states are the CPU's, and normal ones within 2 ulp (f64: 8), on the "
    "GPU") {
  Backend* on = gpu();
  if (!on) return;
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16})
    for (const int64_t count : {1, 3, 4, 1003, 70001}) {
      CAPTURE(name_of(dtype));
      CAPTURE(count);
      const auto check = [&](const auto& op, int64_t ulps, const Tensors& more) {
        Tensors here{tensor<uint64_t>({7, 5})}, there{tensor<uint64_t>({7, 5})};
        here.insert(here.end(), more.begin(), more.end());
        there.insert(there.end(), more.begin(), more.end());
        const Tensor x = run_on(cpu_backend(), OpOf(op), here)[0], y = run_on(*on, OpOf(op), there)[0];
        CHECK(identical(here[0], there[0]));
        CHECK(ulps_between(x, y) <= ulps);
      };
      const int64_t most = dtype == DType::f64 ? 8 : 2;  // in f64 CUDA's sine alone errs by 2
      check(Uniform{{count}, dtype}, 0, {});
      check(DropoutMask{0.3}, 0, {zeros({count}, dtype)});
      check(Normal{{count}, dtype}, most, {});
    }
}

TEST_CASE("products of every kind of stride, and of broadcast batches, agree with plain loops, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  ReferenceBackend reference;
  Draws draws(5);
  for (const DType dtype : some_floatings())
    for (const int64_t m : {1, 2, 17})
      for (const int64_t k : {0, 1, 3, 33})
        for (const int64_t n : {1, 5, 18})
          for (int kind = 0; kind < 8; ++kind) {
            const bool ta = kind & 1, tb = kind & 2, swapped = kind & 4;
            const auto side = [&](bool transposed, int64_t rows, int64_t columns, const Dims& batch) {
              Shape shape = batch;
              const bool turned = transposed != swapped;  // swapped: by a view, and not by the op
              shape.push_back(turned ? columns : rows), shape.push_back(turned ? rows : columns);
              const Tensor t = draws.numbers(shape, dtype);
              return swapped ? transpose(t, -1, -2) : t;
            };
            for (const auto& [a, b] : {std::pair<Dims, Dims>{{}, {}},
                                       {{3}, {3}},
                                       {{2, 1}, {3}},
                                       {{}, {2, 3}},
                                       {{4, 1, 2}, {3, 1}}}) {
              const OpOf op(Matmul{ta, tb});
              const Tensors in{side(ta, m, k, a), side(tb, k, n, b)};
              CAPTURE(to_string(op));
              CAPTURE(to_string(in[0].spec()));
              CAPTURE(to_string(in[1].spec()));
              CAPTURE(swapped);
              CHECK(difference(run_on(*on, op, in)[0].view(), run_on(reference, op, in)[0].view()) == "");
            }
          }
}
