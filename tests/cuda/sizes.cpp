// Kernels differ by size, layout and address: each op here at sizes where one takes over from another, on the
// GPU, against plain loops.
#include "tests/core/parity.h"
#include "tests/cuda/gpu.h"

using namespace varve;
using namespace varve::test;

namespace {

class Checker {
 public:
  explicit Checker(Backend& on) : on_(on) {}
  // `scale`: how much larger than one the results' errors may be.
  template <class Op>
  void operator()(const Op& op, const Tensors& in, double scale = 1) {
    const OpOf boxed(op);
    CAPTURE(to_string(boxed));
    CAPTURE(to_string(in[0].spec()));
    CAPTURE(to_string(in[0].strides()));
    const Tensor y = run_on(on_, boxed, in)[0], expected = run_on(reference_, boxed, in)[0];
    if (is_floating(y.dtype()))
      CHECK(difference((y * (1 / scale)).view(), (expected * (1 / scale)).view()) == "");
    else
      CHECK(difference(y.view(), expected.view()) == "");
  }
  Draws draws{17};

 private:
  Backend& on_;
  ReferenceBackend reference_;
};

// The same numbers, so many elements into their memory.
Tensor moved_by(const Tensor& t, int64_t elements) {
  const Tensor room = zeros({elements + t.numel()}, t.dtype());
  const Tensor place = reshape(slice(room, 0, elements, elements + t.numel()), t.shape());
  place.assign(t);
  return place;
}

}  // namespace

TEST_CASE("small products of every layout, with sums in one part and in several, agree on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Checker check(*on);
  using Sizes = std::array<int64_t, 3>;
  for (const auto& [m, k, n] : {kSimulated ? Sizes{34, 784, 40} : Sizes{64, 784, 256},
                                {10, 64, 256},
                                {64, 256, 10},
                                {33, 65, 31},
                                {1, 1025, 1},
                                {100, 129, 70},
                                {256, 64, 33},
                                kSimulated ? Sizes{70, 100, 65} : Sizes{300, 100, 301}})
    for (int kind = 0; kind < 4; ++kind) {
      const bool ta = kind & 1, tb = kind & 2;
      const Shape a = ta ? Shape{k, m} : Shape{m, k}, b = tb ? Shape{n, k} : Shape{k, n};
      check(Matmul{ta, tb}, {check.draws.numbers(a, DType::f32), check.draws.numbers(b, DType::f32)}, 30);
    }
  const Tensor left = check.draws.numbers({3, 2, 40, 70}, DType::f32);
  check(Matmul{}, {left, check.draws.numbers({3, 2, 70, 50}, DType::f32)}, 10);
  check(Matmul{}, {permute(left, {1, 0, 2, 3}), check.draws.numbers({3, 70, 50}, DType::f32)}, 10);
  check(Matmul{false, true}, {slice(left, 3, 3, 68), check.draws.numbers({50, 65}, DType::f32)}, 10);
}

TEST_CASE("sums of awkward sizes agree, and have the same bits wherever they lie, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Checker check(*on);
  const auto all = {DType::f32, DType::f64, DType::f16, DType::i64, DType::u8},
             some = {DType::f16, DType::i64};
  for (const DType dtype : kSimulated ? some : all)
    for (const int64_t n : {1, 3, 31, 64, 127, 1023, 1025, 8191, 8193, 20'001}) {
      if (kSimulated && n > 8193) continue;
      const double scale = dtype == DType::f16 ? 1 : 100;
      const Range range = dtype == DType::f16 ? Range{-1e-3, 1e-3} : Range{-2, 2};
      const Tensor flat = check.draws.numbers({n}, dtype, range);
      const Tensor rows = check.draws.numbers({3, n}, dtype, range), columns = transpose(rows);
      const Tensor wide = check.draws.numbers({n, 40}, dtype, range);
      check(Sum{}, {flat}, scale), check(Max{}, {flat});
      for (const Tensor& t : {rows, columns, wide})
        for (const int64_t axis : {0, 1}) {
          check(Sum{{axis}, false}, {t}, scale);
          check(Min{{axis}, false}, {t});
        }
      for (const int64_t by : {1, 2, 3}) {
        CHECK(identical(run_on(*on, OpOf(Sum{}), {moved_by(flat, by)})[0],
                        run_on(*on, OpOf(Sum{}), {flat})[0]));
        CHECK(identical(run_on(*on, OpOf(Sum{{1}, false}), {moved_by(rows, by)})[0],
                        run_on(*on, OpOf(Sum{{1}, false}), {rows})[0]));
      }
    }
}

TEST_CASE("copies that turn axes agree in every dtype and at odd sizes, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Checker check(*on);
  for (size_t d = 0; d < kDTypes; ++d) {
    const auto dtype = static_cast<DType>(d);
    for (const auto& [m, n] :
         {std::pair<int64_t, int64_t>{8, 8}, {7, 200}, {33, 65}, {64, 128}, {129, 31}, {100, 1}})
      check(Clone{}, {transpose(check.draws.numbers({m, n}, dtype))});
    const Tensor four = check.draws.numbers({3, 9, 33, 10}, dtype);
    for (const Axes& order :
         {Axes{0, 1, 3, 2}, Axes{3, 0, 1, 2}, Axes{2, 3, 0, 1}, Axes{1, 0, 2, 3}, Axes{3, 2, 1, 0}})
      check(Clone{}, {permute(four, order)});
    check(Clone{}, {transpose(slice(check.draws.numbers({40, 41}, dtype), 1, 1, 40))});
    check(Clone{}, {flip(transpose(check.draws.numbers({40, 41}, dtype)), 0)});
    check(Clone{}, {slice(check.draws.numbers({20, 64}, dtype), 1, 16, 48)});  // rows that can be moved wide
    check(Clone{}, {expand(check.draws.numbers({1, 64}, dtype), {5, 64})});
  }
}

TEST_CASE("rows picked by index agree at every width and place, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Checker check(*on);
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::u8})
    for (const int64_t width : {1, 4, 16, 33, 784})
      for (const int64_t by : {0, 1, 4}) {
        const Tensor table = moved_by(check.draws.numbers({50, width}, dtype), by);
        const Tensor index = check.draws.indices({20, 1}, 50);
        check(Gather{0}, {table, expand(index, {20, width})});
        check(Gather{0}, {table, check.draws.indices({20, width}, 50)});
      }
}

TEST_CASE("what is scattered along a long axis, onto few places or many, is added in order, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Draws draws(18);
  for (const DType dtype : {DType::f32, DType::bf16, DType::i32, DType::boolean})
    for (const int64_t places : {1, 7, 5000})
      for (const Shape& shape :
           {Shape{1000}, Shape{300, 3}, Shape{2, 400, 5}, Shape{3, 300}, Shape{257, 40}}) {
        const int rank = shape.rank(), axis = rank == 3 || shape[0] == 3 ? 1 : 0;
        Shape target = shape, few = shape;
        target[axis] = places;
        for (int i = 0; i < rank; ++i)
          if (i != axis) few[i] = 1;
        const Tensor x = draws.numbers(shape, dtype), y = draws.numbers(target, dtype);
        CAPTURE(to_string(x.spec()));
        CAPTURE(places);
        for (const Tensor& index :
             {draws.indices(shape, places), expand(draws.indices(few, places), shape)}) {
          const Tensor here = clone(y), there = clone(y);
          run_on(cpu_backend(), OpOf(ScatterAdd{axis}), {here, index, x});
          run_on(*on, OpOf(ScatterAdd{axis}), {there, index, x});
          CHECK(identical(there, here));
        }
      }
}

TEST_CASE("functions of rows and of numbers broadcast along them agree, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Checker check(*on);
  using Add = Elementwise<pointwise::Add>;
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16})
    for (const auto& [m, n] :
         {std::pair<int64_t, int64_t>{64, 256}, {64, 10}, {3, 12}, {1, 8}, {700, 4}, {5, 7}})
      for (const int64_t by : {0, 1, 4}) {
        const Tensor x = moved_by(check.draws.numbers({m, n}, dtype), by);
        const Tensor wide = check.draws.numbers({m, n + 4}, dtype);
        check(Add{}, {x, check.draws.numbers({n}, dtype)});
        check(Add{}, {x, check.draws.numbers({m, 1}, dtype)});
        check(Add{}, {check.draws.numbers({}, dtype), x});
        check(Add{}, {check.draws.numbers({m, 1}, dtype), check.draws.numbers({1, n}, dtype)});
        check(Add{}, {slice(wide, 1, 4, n + 4), x});
        check(Add{}, {slice(wide, 1, 1, n + 1), moved_by(check.draws.numbers({n}, dtype), by)});
        for (const DType other : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
          check(Cast{other}, {x}), check(Cast{other}, {slice(wide, 1, 4, n + 4)});
          check(Cast{other}, {transpose(x)}),
              check(Cast{other}, {expand(check.draws.numbers({1, n}, dtype), {m, n})});
        }
      }
}

TEST_CASE("softmax and cross entropy agree at every length of a row, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Checker check(*on);
  for (const DType dtype : {DType::f32, DType::f64})
    for (const int64_t n : {1, 10, 32, 33, 256, 257, 1024, 1025, 4096, 4097, 9000}) {
      const Tensor x = moved_by(check.draws.numbers({5, n}, dtype), 1);
      const Tensor targets = check.draws.targets({5}, n);
      check(Softmax{}, {x}), check(LogSoftmax{}, {x});
      check(CrossEntropy{}, {x, targets});
      check(CrossEntropySlope{}, {x, targets, check.draws.numbers({5}, dtype)});
    }
}
