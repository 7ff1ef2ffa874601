// Inference: many threads answer by one plan, from the caller's memory into the caller's, with the bits of
// the function itself and without allocating.
#include <varve/core/inference.h>

#include <doctest/doctest.h>

#include <array>
#include <latch>
#include <thread>

#include <varve/core/members.h>
#include <varve/core/ops/copy.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>

#include "tests/allocations.h"

using namespace varve;

namespace {

Tensor drawn(const Shape& shape, uint64_t seed) { return randn(shape, DType::f32, Generator(seed)); }

// Two layers with dropout between them, of parameters that want gradients.
struct Net {
  Tensor w1 = drawn({40, 64}, 1), w2 = drawn({64, 7}, 2);
  Mode mode;
  Net() { w1.set_requires_grad(), w2.set_requires_grad(); }
  Tensor operator()(const Tensor& x) const {
    Tensor h = relu(matmul(x, w1));
    if (mode.training()) h = dropout(h, 0.5);
    return softmax(matmul(h, w2));
  }
  static void members(auto& self, auto&& visit) {
    visit("w1", self.w1);
    visit("w2", self.w2);
    visit("mode", self.mode);
  }
};

Net evaluated() {
  Net net;
  label(net);
  eval(net);
  return net;
}

// What f gives, by Inference, into memory that held something else.
Tensors answered(Inference& inference, const std::vector<ReadFrom>& in) {
  Tensors out;
  std::vector<WriteTo> to;
  for (const Spec& s : inference.outputs()) out.push_back(full(s.shape, 1, s.dtype));
  for (const Tensor& t : out) to.emplace_back(t);
  inference.run(in, to);
  return out;
}

}  // namespace

TEST_CASE("an answer has the bits of the function, wherever the caller's memory lies") {
  const Net net = evaluated();
  for (const int64_t batch : {0, 1, 16, 300}) {
    CAPTURE(batch);
    Inference answer(net, {zeros({batch, 40})});
    CHECK(answer.inputs() == Specs{{DType::f32, {batch, 40}}});
    CHECK(answer.outputs() == Specs{{DType::f32, {batch, 7}}});
    for (const size_t shift : {0, 1, 3}) {
      const Tensor x = drawn({batch, 40}, 10 + shift);
      std::vector<float> in(x.numel() + shift), out(static_cast<size_t>(batch * 7) + shift);
      std::copy(x.data<float>().begin(), x.data<float>().end(), in.begin() + static_cast<long>(shift));
      const auto y = std::span(out).subspan(shift);
      answer.run({std::span<const float>(in).subspan(shift)}, {y});
      CHECK(identical(from_span(y, {batch, 7}), net(x)));
    }
  }
}

TEST_CASE("copies answer side by side, each thread's as if it were alone") {
  const Net net = evaluated();
  for (const int64_t batch : {1, 700}) {  // 700 in parts
    Inference answer(net, {zeros({batch, 40})});
    constexpr int kThreads = 4;
    std::array<int64_t, kThreads> wrong{};
    std::latch together(kThreads);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t, answer]() mutable {
        const Tensor x = drawn({batch, 40}, t), y = zeros({batch, 7});
        const Tensor expected = no_grad([&] { return net(x); });
        together.arrive_and_wait();
        for (int64_t i = 0; i < 14000 / batch; ++i) {
          answer.run({x}, {y});
          wrong[t] += !identical(y, expected);
        }
      });
    for (std::thread& t : threads) t.join();
    for (const int64_t count : wrong) CHECK(count == 0);
  }
}

TEST_CASE("a call allocates nothing") {
  const Net net = evaluated();
  for (const int64_t batch : {1, 700}) {
    Inference answer(net, {zeros({batch, 40})});
    std::vector<float> x(static_cast<size_t>(batch * 40)), y(static_cast<size_t>(batch * 7));
    const Tensor z = zeros({batch, 7});
    answer.run({x}, {y});
    const int64_t before = test::allocations.count;
    for (int i = 0; i < 10; ++i) answer.run({x}, {y}), answer.run({x}, {z});
    CHECK(test::allocations.count == before);
  }
}

TEST_CASE("several inputs and outputs, views of each other, of inputs, of captured tensors, given twice") {
  const Tensor w = drawn({3, 3}, 4);
  const auto f = [&](const Tensors& in) {
    const Tensor h = in[0] + in[1];
    const Sorted s = sort(h);
    return Tensors{h,         h,           transpose(h), in[1], slice(in[0], 0, 1, 2), w, full({2}, 5),
                   s.indices, s.values * w};
  };
  const Tensor a = drawn({3, 3}, 5), b = drawn({3, 3}, 6);
  Inference answer(f, {a, a});
  for (int i = 0; i < 2; ++i) {
    const Tensors found = answered(answer, {a, b}), expected = f({a, b});
    for (size_t k = 0; k < expected.size(); ++k) {
      CAPTURE(k);
      CHECK(identical(found[k], expected[k]));
    }
    w.fill(2);  // what is captured is read as it is
  }
  Inference none([](const Tensor& x) { x + 1.0; }, {a});
  none.run({a}, {});
}

TEST_CASE("a function may differentiate by its input") {
  const auto force = [](const Tensor& x) {
    const GradMode on(true);
    Tensor at = x.detach();
    at.set_requires_grad();
    return Tensors{grad({sum(at * at * at)}, {at})[0]};
  };
  Inference answer(force, {ones({4})});
  const Tensor x = drawn({4}, 7);
  CHECK(identical(answered(answer, {x})[0], force(x)[0]));
  CHECK(identical(answered(answer, {ones({4})})[0], force(ones({4}))[0]));
}

TEST_CASE("parameters are read as they are, modes as they were") {
  Net net = evaluated();
  Inference answer(net, {zeros({2, 40})});
  const Tensor x = drawn({2, 40}, 8);
  no_grad([&] { net.w2.fill(0.25); });
  CHECK(identical(answered(answer, {x})[0], net(x)));
  const Tensor before = net(x);
  train(net);
  CHECK(identical(answered(answer, {x})[0], before));
}

TEST_CASE("a copy is of what was assigned, and answers after the first is gone") {
  const Tensor x = ones({2});
  Inference twice([](const Tensor& t) { return t * 2.0; }, {x});
  {
    const Inference thrice([](const Tensor& t) { return exp(t) * 3.0; }, {x});
    twice = thrice;
  }
  CHECK(identical(answered(twice, {x})[0], exp(x) * 3.0));
  Inference moved = std::move(twice);
  CHECK(identical(answered(moved, {x})[0], exp(x) * 3.0));
  CHECK_THROWS_WITH_AS(answered(moved = moved, {}), doctest::Contains("0 inputs"), Error);
  CHECK_THROWS_WITH_AS(twice.run({x}, {x}), doctest::Contains("moved from"), Error);
  CHECK_THROWS_WITH_AS(Inference(std::as_const(twice)), doctest::Contains("moved from"), Error);
  CHECK_THROWS_WITH_AS(twice.inputs(), doctest::Contains("moved from"), Error);
  CHECK_THROWS_WITH_AS(twice.outputs(), doctest::Contains("moved from"), Error);
}

TEST_CASE("what threads would share and write is refused") {
  Net net;
  label(net);
  const Tensor x = ones({2, 40}), counter = zeros({1});
  counter.set_label("counter");
  Tensor kept;
  const auto refused = [&](const auto& f, const char* what) {
    CHECK_THROWS_WITH_AS((Inference{f, {x}}), doctest::Contains(what), Error);
  };
  refused(net, "writes to u64[2]");  // the generator's state
  refused(
      [&](const Tensor& t) {
        counter.assign(counter + 1.0);
        return t + counter;
      },
      "writes to 'counter'");
  refused([](const Tensor& t) { return t.assign(t * 2.0), t; }, "writes to its input");
  refused([&](const Tensor& t) { return (kept = exp(t)) * 2.0; }, "keeps a tensor that it computes");
  refused([&](const Tensor& t) { return net.w1.zero_grad(), t * 2.0; }, "changes gradients");
  refused(
      [&](const Tensor& t) {
        const GradMode on(true);
        sum(matmul(t, net.w1)).backward();
        return t;
      },
      "changes gradients");
}

TEST_CASE("memory of another kind, or that is somebody else's, is refused") {
  const Net net = evaluated();
  Inference answer(net, {zeros({2, 40})});
  const Tensor x = zeros({2, 40}), y = zeros({2, 7});
  std::vector<float> few(13), many(100);
  std::vector<double> doubles(80);
  CHECK_THROWS_WITH_AS(answer.run({zeros({2, 41})}, {y}),
                       doctest::Contains("input 0 is f32[2, 41]; required is f32[2, 40]"), ShapeError);
  CHECK_THROWS_AS(answer.run({x}, {zeros({7, 2})}), ShapeError);
  CHECK_THROWS_AS(answer.run({x}, {transpose(zeros({7, 2}))}), ShapeError);
  CHECK_THROWS_AS(answer.run({x}, {zeros({2, 7}, DType::f64)}), ShapeError);
  CHECK_THROWS_WITH_AS(answer.run({x}, {few}), doctest::Contains("output 0 is 13 elements of f32"),
                       ShapeError);
  CHECK_THROWS_AS(answer.run({doubles}, {y}), ShapeError);
  CHECK_THROWS_AS(answer.run({x, x}, {y}), Error);
  CHECK_THROWS_AS(answer.run({x}, {}), Error);
  CHECK_THROWS_AS(answer.run({x}, {Tensor()}), Error);
  CHECK_THROWS_WITH_AS(answer.run({std::span(many).first(80)}, {std::span(many).subspan(79, 14)}),
                       doctest::Contains("overlaps input 0"), Error);
  CHECK_NOTHROW(answer.run({std::span(many).first(80)}, {std::span(many).subspan(80, 14)}));
  CHECK_THROWS_WITH_AS(
      answer.run({x}, {reshape(slice(reshape(net.w1.detach(), {40 * 64}), 0, 100, 114), {2, 7})}),
      doctest::Contains("overlaps 'w1'"), Error);
  Inference both([](const Tensor& t) { return Tensors{t + 1.0, t + 2.0}; }, {ones({4})});
  CHECK_THROWS_WITH_AS(both.run({few}, {many, many}), doctest::Contains("input 0 is 13"), ShapeError);
  const auto four = [&](size_t at) { return std::span(many).subspan(at, 4); };
  CHECK_THROWS_WITH_AS(both.run({four(20)}, {four(3), four(0)}),
                       doctest::Contains("output 1 overlaps output 0"), Error);
  CHECK_NOTHROW(both.run({four(20)}, {four(4), four(0)}));
  CHECK(many[0] == many[4] + 1);
  CHECK_THROWS_AS(trace([&](const Tensors& in) { return answer.run({in[0]}, {y}), in; }, {x}), Error);
}

TEST_CASE("an output's tensor counts as written, and a call that throws says why and can be made again") {
  const Tensor table = drawn({4}, 9);
  Inference pick([&](const Tensor& i) { return gather(table, 0, i); }, {tensor<int64_t>({0, 0})});
  const Tensor y = zeros({2});
  const uint64_t version = y.value().storage->version();
  pick.run({std::array<int64_t, 2>{3, 1}}, {y});
  CHECK(y[0].item() == table[3].item());
  CHECK(y.value().storage->version() > version);
  CHECK_THROWS_AS(pick.run({std::array<int64_t, 2>{0, 4}}, {y}), ShapeError);
  pick.run({std::array<int64_t, 2>{2, 0}}, {y});
  CHECK(y[0].item() == table[2].item());
}

TEST_CASE("a graph answers, too") {
  const Net net = evaluated();
  const Graph graph = no_grad([&] {
    return trace([&](const Tensors& in) { return Tensors{net(in[0])}; }, {zeros({3, 40})});
  });
  Inference answer([&](const Tensors& in) { return graph.run(in); }, {zeros({3, 40})});
  const Tensor x = drawn({3, 40}, 11);
  CHECK(identical(answered(answer, {x})[0], net(x)));
}
