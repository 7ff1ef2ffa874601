// The same bits at every address and for any number of threads; every instruction set agrees with plain
// loops.
#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <functional>

#include <varve/core/cpu/level.h>
#include <varve/core/cpu/threads.h>

#include "tests/core/parity.h"

using namespace varve;
using namespace varve::test;

namespace {

std::vector<std::byte> bytes_of(const Tensor& t) {
  const Tensor plain = contiguous(t.detach());
  const auto* data = static_cast<const std::byte*>(plain.view().data);
  return {data, data + plain.spec().bytes()};
}

// A copy of x that begins `offset` elements after a 64-byte boundary, between guard bytes.
class Placed {
 public:
  Placed(const Spec& spec, int64_t offset)
      : memory_(make_value(cpu_backend(), {DType::u8, {static_cast<int64_t>(spec.bytes()) + 16 * 8 + 64}})) {
    std::memset(memory_->storage->data(), 0xA5, memory_->storage->bytes());
    view_ =
        contiguous_view(memory_->storage->data() + offset * static_cast<int64_t>(size_of(spec.dtype)), spec);
  }
  const View& view() const { return view_; }
  std::vector<std::byte> bytes() const {
    return {view_.as<std::byte>(), view_.as<std::byte>() + view_.spec().bytes()};
  }
  // Whether everything around the elements is as it was.
  bool guards_hold() const {
    const std::byte *from = memory_->storage->data(), *to = from + memory_->storage->bytes();
    const auto* first = view_.as<std::byte>();
    const auto intact = [](std::byte b) { return b == std::byte{0xA5}; };
    return std::all_of(from, first, intact) && std::all_of(first + view_.spec().bytes(), to, intact);
  }

 private:
  ValuePtr memory_;
  View view_;
};

// What the op gives with its operands `first`, 2 `first`, 3 `first` ... elements after a boundary, modulo 16:
// outputs and written inputs.
std::vector<std::vector<std::byte>> result_at(const AnyOp& op, const Tensors& in, int64_t first) {
  std::vector<Placed> inputs, outputs;
  std::vector<View> in_views, out_views;
  const auto offset = [&] { return first * static_cast<int64_t>(1 + inputs.size() + outputs.size()) % 16; };
  Specs specs;
  for (const Tensor& t : in) {
    specs.push_back(t.spec());
    inputs.emplace_back(t.spec(), offset());
    const std::vector<std::byte> bytes = bytes_of(t);
    std::copy(bytes.begin(), bytes.end(), inputs.back().view().as<std::byte>());
  }
  for (const Spec& spec : op.infer(specs)) outputs.emplace_back(spec, offset());
  for (const Placed& p : inputs) in_views.push_back(p.view());
  for (const Placed& p : outputs) out_views.push_back(p.view());
  const auto scratch_bytes = static_cast<int64_t>(op.scratch(in_views, out_views));
  const Tensor scratch(make_value(cpu_backend(), {DType::u8, {scratch_bytes}}));
  op.run(cpu_backend(), in_views, out_views, scratch.view());
  std::vector<std::vector<std::byte>> results;
  for (const Placed& p : outputs) results.push_back(p.bytes());
  for (const Placed& p : inputs) results.push_back(p.bytes());
  for (const auto* list : {&inputs, &outputs})
    for (const Placed& p : *list) CHECK(p.guards_hold());
  return results;
}

// Restores the number of threads and the instruction set.
struct Restore {
  int threads_before = threads();
  std::string level_before = cpu::level();
  ~Restore() {
    set_threads(threads_before);
    cpu::set_level(level_before);
  }
};

using Computation = std::pair<const char*, std::function<Tensors()>>;

// Work large enough to be split, for each kernel family: those that go through rows of numbers,
std::vector<Computation> large_rows() {
  Draws draws(11);
  const Tensor x = draws.numbers({601, 503}, DType::f32), row = draws.numbers({503}, DType::f32);
  const Tensor wide = draws.numbers({601, 503}, DType::f64), targets = draws.targets({601}, 503);
  const Tensor short_rows = draws.numbers({9001, 10}, DType::f32), short_targets = draws.targets({9001}, 10);
  return {
      {"gelu",
       [=] {
         return Tensors{gelu(x), gelu(transpose(x)), gelu(wide)};
       }},
      {"add",
       [=] {
         return Tensors{x + row, transpose(x) + transpose(x), x * 2.0};
       }},
      {"where", [=] { return Tensors{where(x > 0.0, x, row)}; }},
      {"sum",
       [=] {
         return Tensors{sum(x), sum(x, {0}), sum(x, {1}), sum(transpose(x), {0}), sum(wide), sum(row)};
       }},
      {"max",
       [=] {
         return Tensors{max(x), max(x, {0}), min(x, {1})};
       }},
      {"mean",
       [=] {
         return Tensors{mean(reshape(x, {-1})), var(x, {0})};
       }},
      {"softmax",
       [=] {
         return Tensors{softmax(x), log_softmax(x, 0), cumsum(x), argmax(x, 0)};
       }},
      {"cross_entropy",
       [=] {
         const Tensor wide_loss = apply_one(CrossEntropy{}, {x, targets});
         return Tensors{wide_loss, apply_one(CrossEntropySlope{}, {x, targets, wide_loss}),
                        apply_one(CrossEntropy{}, {short_rows, short_targets})};
       }},
      {"sort",
       [=] {
         return Tensors{sort(x).values, sort(x, 0).indices};
       }},
  };
}

// and those that multiply, move and draw.
std::vector<Computation> large_products_and_moves() {
  Draws draws(12);
  const Tensor x = draws.numbers({601, 503}, DType::f32), index = draws.indices({601, 1}, 601);
  const Tensor a = draws.numbers({300, 400}, DType::f32), b = draws.numbers({400, 500}, DType::f32);
  const Tensor batch = draws.numbers({6, 90, 100}, DType::f32);
  return {
      {"matmul",
       [=] {
         return Tensors{matmul(a, b), matmul(transpose(b), a, false, true)};
       }},
      {"batched",
       [=] {
         return Tensors{matmul(batch, batch, false, true), matmul(batch, batch[0], false, true)};
       }},
      {"gather", [=] { return Tensors{gather(x, 0, index)}; }},
      {"scatter",
       [=] {
         return Tensors{scatter_add(zeros({601, 503}), 0, index, x)};
       }},
      {"copy",
       [=] {
         return Tensors{clone(transpose(x)), cast(x, DType::f16), cat({x, x}, 1), pad(x, 0, 1, 1)};
       }},
      {"random",
       [] {
         return Tensors{randn({300000}, DType::f32, Generator(5)),
                        rand({601, 503}, 0, 1, DType::f64, Generator(6)),
                        dropout(ones({300000}), 0.3, Generator(7))};
       }},
      {"backward",
       [=] {
         Tensor w = clone(a);
         w.set_requires_grad();
         sum(tanh(matmul(w, b))).backward();
         return Tensors{w.grad()};
       }},
  };
}

// The functions of the standard library at infinities, zeros, NaN and far out, on the level in use.
void check_edges(DType dtype) {
  const Tensor edges = cast(tensor<double>({0, -0.0, HUGE_VAL, -HUGE_VAL, std::nan(""), 1000, -1000, 1e-30,
                                            -1, 3e38, 88.5, 88.72, -87.5, 12345.5}),
                            dtype);
  const Tensor x = cast(edges, DType::f64);
  const auto check = [&](const std::string& name, const Tensor& y, auto f) {
    const Tensor found = cast(y, DType::f64);
    for (size_t i = 0; i < x.data<double>().size(); ++i) {
      const double at = x.data<double>()[i], v = found.data<double>()[i], exact = f(at);
      const double expected = dtype == DType::f32 ? static_cast<double>(static_cast<float>(exact)) : exact;
      CAPTURE(name);
      CAPTURE(at);
      CAPTURE(v);
      CAPTURE(name_of(dtype));
      const bool may_be_zero = dtype == DType::f32 && std::abs(exact) < 0x1p-126;  // for it is denormal
      CHECK((std::isnan(expected) ? std::isnan(v)
                                  : (v == 0 && may_be_zero) || v == expected ||
                                        std::abs(v - expected) <= 1e-6 * std::abs(expected)));
    }
  };
  check("exp", exp(edges), [](double v) { return std::exp(v); });
  check("log", log(edges), [](double v) { return std::log(v); });
  check("log1p", log1p(edges), [](double v) { return std::log1p(v); });
  check("sqrt", sqrt(edges), [](double v) { return std::sqrt(v); });
  check("sin", sin(edges), [](double v) { return std::sin(v); });
  check("cos", cos(edges), [](double v) { return std::cos(v); });
  check("tanh", tanh(edges), [](double v) { return std::tanh(v); });
  check("erf", erf(edges), [](double v) { return std::erf(v); });
  check("sigmoid", sigmoid(edges), [](double v) { return 1 / (1 + std::exp(-v)); });
  check("relu", relu(edges), [](double v) { return std::isnan(v) ? v : std::max(v, 0.0); });
  check("abs", abs(edges), [](double v) { return std::abs(v); });
  check("maximum", maximum(edges, 0.0), [](double v) { return std::isnan(v) ? v : std::max(v, 0.0); });
}

}  // namespace

TEST_CASE("every op gives the same bits at sixteen addresses, and writes nothing beside its outputs") {
  const Restore restore;
  for (const std::string& level : cpu::levels())
    for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32}) {
      cpu::set_level(level);
      CAPTURE(level);
      for_each_op(dtype, [&](const std::vector<AnySample>& samples) {
        for (const AnySample& sample : samples) {
          const AnyOp& op = *sample.op;
          if (!sample.in.empty() && !op.alias(sample.in[0].view()).empty()) continue;
          CAPTURE(to_string(op));
          const auto expected = result_at(op, sample.in, 0);
          bool same = true;
          for (int64_t first = 1; first < 16; ++first)
            same = same && result_at(op, sample.in, first) == expected;
          CHECK(same);
        }
      });
    }
}

TEST_CASE("a row has the same bits alone as among others") {
  const Restore restore;
  Draws draws(14);
  for (const std::string& level : cpu::levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const int64_t n : {1, 2, 7, 8, 9, 16, 17, 40, 127, 128, 129}) {
        cpu::set_level(level);
        CAPTURE(level);
        CAPTURE(n);
        const Tensor x = draws.numbers({37, n}, dtype, {-30, 30}), targets = draws.targets({37}, n),
                     dy = draws.numbers({37}, dtype);
        const auto all = [](const Tensor& rows, const Tensor& at, const Tensor& by) {
          return Tensors{softmax(rows), log_softmax(rows), apply_one(CrossEntropy{}, {rows, at}),
                         apply_one(CrossEntropySlope{}, {rows, at, by})};
        };
        const Tensors together = all(x, targets, dy);
        for (int64_t row = 0; row < 37; ++row) {
          const Tensors alone = all(x[row], targets[row], dy[row]);
          for (size_t i = 0; i < alone.size(); ++i) CHECK(bytes_of(alone[i]) == bytes_of(together[i][row]));
        }
      }
}

TEST_CASE("any number of threads gives the same bits") {
  const Restore restore;
  std::vector<Computation> computations = large_rows();
  for (Computation& c : large_products_and_moves()) computations.push_back(std::move(c));
  for (const Computation& computation : computations) {
    const auto& compute = computation.second;
    CAPTURE(std::string(computation.first));
    set_threads(1);
    std::vector<std::vector<std::byte>> expected;
    for (const Tensor& t : compute()) expected.push_back(bytes_of(t));
    for (int count : {2, 3, 4, 8}) {
      set_threads(count);
      CAPTURE(count);
      const Tensors found = compute();
      for (size_t i = 0; i < found.size(); ++i) CHECK(bytes_of(found[i]) == expected[i]);
    }
  }
}

TEST_CASE("what a task throws reaches the caller, and the pool goes on") {
  const Restore restore;
  for (int count : {1, 4}) {
    set_threads(count);
    std::atomic<int> ran{0};
    CHECK_THROWS_AS(cpu::parallel(100,
                                  [&](int64_t i) {
                                    ++ran;
                                    if (i == 37) throw Error("task 37");
                                  }),
                    Error);
    std::vector<std::atomic<int>> times(1000);
    cpu::parallel(1000, [&](int64_t i) { ++times[static_cast<size_t>(i)]; });
    CHECK(std::all_of(times.begin(), times.end(), [](const auto& n) { return n == 1; }));
    CHECK(ran > 0);
  }
  CHECK_THROWS_AS(set_threads(0), Error);
}

TEST_CASE("every instruction set of this processor agrees with plain loops") {
  const Restore restore;
  CHECK_FALSE(cpu::levels().empty());
  for (const std::string& level : cpu::levels()) {
    cpu::set_level(level);
    CAPTURE(level);
    CHECK(cpu::level() == level);
    for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64})
      for_each_op(dtype, [](const std::vector<AnySample>& samples) {
        for (const AnySample& sample : samples) check_parity(sample, Layout::plain);
      });
    check_edges(DType::f32);
    check_edges(DType::f64);
  }
  CHECK_THROWS_AS(cpu::set_level("abacus"), Error);
}
