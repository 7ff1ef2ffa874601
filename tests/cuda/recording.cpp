// A recording runs calls side by side that use no memory of each other: it must do what call by call does.
#include <varve/core/ops/elementwise.h>
#include <varve/varve.h>
#include "tests/core/draws.h"
#include "tests/cuda/gpu.h"

using namespace varve;
using namespace varve::test;

namespace {

// Branches that meet in one memory: updates in place through views that overlap, products large and small,
// sorts with workspaces, random numbers.
struct Tangle {
  Tensor state = randn({96, 64}), weight = randn({64, 64}), large = randn({700, 300}), counts = zeros({64});

  Tensors operator()(const Tensor& x, const Tensor& rows) const {
    const NoGrad guard;
    const Tensor a = matmul(x, weight), b = softmax(a), c = matmul(a, state, false, true);
    slice(state, 0, 0, 40).assign(slice(state, 0, 0, 40) * 0.5 + slice(b, 0, 0, 40));
    slice(state, 0, 30, 70).assign(tanh(slice(state, 0, 20, 60)) + slice(x, 0, 0, 40));
    const Tensor sums = sum(state, {0}), sorted = sort(sums, 0).values;
    counts.assign(counts + sums * 0.1);
    const Tensor other = sort(sum(c, {1}), 0).values;
    const Tensor wide = matmul(large, large, false, true), high = matmul(large, large, true, false);
    slice(state, 0, 90, 96).assign(slice(matmul(weight, weight, true, false), 0, 0, 6));
    const Tensor drawn = rand({30}) + rand({30});
    weight.assign(weight * 0.9 + index_select(state, 0, rows));
    return {c, sorted, other, sum(wide, {0}), sum(high, {1}), clone(counts), drawn, mean(state)};
  }
  Tensors memory() const { return {clone(state), clone(weight), clone(counts)}; }
};

}  // namespace

TEST_CASE("a plan whose calls branch, meet and write in place does the same recorded as call by call") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  const auto run = [](bool compiled) {
    manual_seed(5);
    const Tangle tangle;
    auto fast = compile([&](const Tensor& x, const Tensor& rows) { return tangle(x, rows); });
    Tensors all;
    for (int i = 0; i < 12; ++i) {
      const Tensor x = randn({70, 64}) * 0.3, rows = cast(rand({64}) * 96, DType::i64);
      for (const Tensor& t : compiled ? fast(x, rows) : tangle(x, rows)) all.push_back(clone(t).to(kCpu));
      for (const Tensor& t : tangle.memory()) all.push_back(t.to(kCpu));
    }
    if (compiled) {
      REQUIRE(fast.plans().size() == 1);
      CHECK(fast.plans()[0]->is_recorded());
    }
    return all;
  };
  const Tensors expected = run(false), found = run(true), again = run(true);
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(identical(found[i], expected[i]));
    CHECK(identical(again[i], found[i]));
  }
}

TEST_CASE("a recording reads each input where it lies, whatever its size and alignment, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  Draws draws(8);
  for (const DType dtype : {DType::u8, DType::bf16, DType::f32, DType::f64})
    for (const int64_t n : {0, 1, 5, 16, 1000}) {
      auto doubled = compile([](const Tensor& x, const Tensor& y) { return x + y; });
      for (int64_t i = 0; i < 5; ++i) {
        const Tensor room = draws.numbers({n + 5}, dtype).to(kCuda), y = draws.numbers({n}, dtype).to(kCuda);
        const Tensor x = slice(room, 0, i, n + i);
        CAPTURE(name_of(dtype));
        CAPTURE(n);
        CHECK(identical(doubled(x, y), x + y));
      }
    }
}

TEST_CASE("functions that become part of a product change no bit, wherever else it is used, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  const Tensor a = randn({64, 100}), b = randn({100, 33}), bias = randn({33}), column = randn({64, 1});
  const Tensor other = randn({33, 64}), square = randn({33, 33}), kept = zeros({64, 33});
  const Tensor parameter = zeros({64, 33}), moment = zeros({64, 33}), variance = zeros({64, 33});
  const Tensor rate = full({}, 0.01, DType::f64), scale = full({}, 0.5), keep = full({}, 0.99, DType::f64);
  const Tensor narrow = randn({100, 10}), targets = cast(rand({64}) * 10, DType::i64), weights = rand({64});
  using Slope = Elementwise<pointwise::Slope<pointwise::Relu, 0>>;
  const auto slope = [](const Tensor& dy, const Tensor& y) { return apply_op(Slope{}, {dy, y})[0]; };
  const std::vector<std::function<Tensors(const Tensor&)>> functions{
      [&](const Tensor& x) { return Tensors{relu(matmul(x, b) + bias)}; },
      [&](const Tensor& x) { return Tensors{relu(matmul(x, b) + column) + bias}; },  // a third does not fit
      [&](const Tensor& x) {
        const Tensor y = matmul(x, b), z = y + bias;
        return Tensors{y, z, relu(y), relu(z), y + y, z + y};
      },
      [&](const Tensor& x) {
        return Tensors{bias + matmul(x, b), relu(matmul(x, b) * 2.0)};
      },
      [&](const Tensor& x) { return Tensors{matmul(x, b) + transpose(other)}; },
      [&](const Tensor& x) {
        const Tensor first = matmul(x, b), second = matmul(relu(first), square);
        return Tensors{first + second, slope(second, first), slope(first, second)};
      },
      [&](const Tensor& x) {  // each waits for what the other was held for
        const Tensor first = matmul(x, b), second = matmul(x * 0.5, b);
        const Tensor third = first + second, fourth = second + third;
        return Tensors{third, fourth, relu(third), relu(fourth)};
      },
      [&](const Tensor& x) {  // into memory that others read and write before and after
        kept.assign(matmul(x, b));
        const Tensor z = matmul(kept, square) + kept;
        kept.assign(relu(z));
        kept.assign(matmul(x, b) + kept);
        return Tensors{z, clone(kept), matmul(x, b) + bias};
      },
      [&](const Tensor& x) {
        return Tensors{matmul(stack({x, x}, 0), b) + bias};
      },
      [&](const Tensor& x) {
        return Tensors{sum(relu(matmul(x, b) + bias), {0}), matmul(x, b) + bias};
      },
      [&](const Tensor& x) {  // updates by what a product gives, and after other steps
        const AdamStep adam{{0.9, 0.99, 1e-6, 0.01}};
        const Tensor g = matmul(x, b), before = parameter * 2.0;
        apply_op(adam, {parameter, g, moment, variance, rate, scale, keep});
        apply_op(SgdStep{{0.9, 0.01, 1}}, {parameter, matmul(x, b) + bias, moment, scale});
        apply_op(adam, {parameter, relu(matmul(parameter, square) + g), moment, variance, rate, scale, keep});
        return Tensors{before, clone(parameter), clone(moment), clone(variance), g};
      },
      [&](const Tensor& x) {  // by what it gives of itself, and by two of a kind
        const Tensor g = matmul(x, b);
        apply_op(SgdStep{{0.5, 0, 0}}, {parameter, g, g, rate});
        apply_op(SgdStep{{0.5, 0, 0}}, {parameter, g, moment, rate});
        apply_op(SgdStep{{0.5, 0, 0}}, {variance, g, kept, rate});
        return Tensors{clone(parameter), clone(moment), clone(variance), clone(kept), g};
      },
      [&](const Tensor&
              x) {  // sums of columns, as biases have gradients; products that are done in one kernel
        const Tensor g = matmul(x, b), sums = sum(g, {0}), row = clone(sums), other_sums = sum(x * 2.0, {0});
        apply_op(SgdStep{{0.5, 0.01, 0}}, {row, sums, clone(sums), rate});
        const Tensor left = matmul(x, g, true, false), right = matmul(g, g, true, false);
        apply_op(SgdStep{{0.5, 0, 0}}, {variance, matmul(x, b), moment, rate});
        return Tensors{row,       sums, other_sums, left, right, matmul(left, square) + sums, clone(variance),
                       relu(sums)};
      },
      [&](const Tensor& x) {  // cross-entropy and its slope, of rows that a warp has and of longer ones
        Tensors all;
        for (const Tensor& w : {narrow, slice(b, 1, 0, 32), b}) {
          const Tensor z = matmul(x, w) + slice(bias, 0, 0, w.shape()[1]);
          const Tensor loss = nn::cross_entropy(z, targets, nn::Reduction::none);
          all.push_back(z), all.push_back(loss);
          all.push_back(apply_op(CrossEntropySlope{}, {z, targets, weights})[0]);
          all.push_back(matmul(all.back(), w, false, true));
        }
        return all;
      },
  };
  for (size_t i = 0; i < functions.size(); ++i) {
    CAPTURE(i);
    const NoGrad guard;
    auto fast = compile([&](const Tensor& x) { return functions[i](x); });
    for (int run = 0; run < 4; ++run) {
      const Tensor x = a * (1.0 + run);
      const auto begin = [&] {
        for (const Tensor& t : {kept, parameter, moment, variance}) t.fill(1);
      };
      begin();
      const Tensors expected = functions[i](x);
      begin();
      const Tensors& found = fast(x);
      for (size_t k = 0; k < expected.size(); ++k) {
        CAPTURE(k);
        CHECK(identical(found[k], expected[k]));
      }
    }
    CHECK(fast.plans()[0]->is_recorded());
  }
}
