// Philox against the known answers of Random123, and the draws made of it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/reduce.h>
#include <varve/core/ops/views.h>

#include "tests/message.h"

using namespace varve;

namespace {
// Philox4x32-10 with all four counter words, written from the paper's definition: what varve's, which leaves
// the upper two at 0, is compared with.
std::array<uint32_t, 4> philox_of_paper(std::array<uint32_t, 4> x, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
    const uint64_t even = x[0] * uint64_t{0xD2511F53u}, odd = x[2] * uint64_t{0xCD9E8D57u};
    const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
    x = {high(odd) ^ x[1] ^ key[0], static_cast<uint32_t>(odd), high(even) ^ x[3] ^ key[1],
         static_cast<uint32_t>(even)};
  }
  return x;
}
}  // namespace

TEST_CASE("philox gives the known answers of Random123") {
  using Words = std::array<uint32_t, 4>;
  constexpr uint32_t kOnes = 0xffffffff;
  CHECK(philox_of_paper({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox_of_paper({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox_of_paper({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  CHECK(philox(0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  std::mt19937_64 engine(1);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t key = engine(), counter = engine();
    const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
    const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
    REQUIRE(philox(key, counter) ==
            philox_of_paper({low(counter), high(counter), 0, 0}, {low(key), high(key)}));
  }
}

TEST_CASE("philox is a constant expression, and its words change with key and counter") {
  static_assert(philox(0, 0)[0] == 0x6627e8d5);
  CHECK(philox(1, 0) != philox(0, 0));
  CHECK(philox(0, 1) != philox(0, 0));
  CHECK(philox(uint64_t{1} << 32, 0) != philox(1, 0));
  CHECK(philox(0, uint64_t{1} << 32) != philox(0, 1));
}

TEST_CASE("uniform numbers are spread evenly over [0, 1)") {
  constexpr int64_t kCount = 200000;
  for (DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = cast(rand({kCount}, 0, 1, dtype, Generator(1)), DType::f64);
    CHECK(mean(x).item() == doctest::Approx(0.5).epsilon(0.01));
    CHECK(var(x).item() == doctest::Approx(1.0 / 12).epsilon(0.02));
    std::vector<int> bins(20);
    for (double v : x.data<double>()) {
      REQUIRE(v >= 0);
      REQUIRE(v < 1);
      ++bins[static_cast<size_t>(v * 20)];
    }
    double chi = 0;
    for (int n : bins) chi += (n - kCount / 20.0) * (n - kCount / 20.0) / (kCount / 20.0);
    CHECK(chi < 50);  // 19 degrees of freedom: above 50 in one of 7,000
  }
}

TEST_CASE("uniform numbers of sixteen bits stay below 1") {
  for (DType dtype : {DType::f16, DType::bf16})
    CHECK(max(rand({100000}, 0, 1, dtype, Generator(2))).item() < 1);
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  for (DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = cast(randn({200000}, dtype, Generator(3)), DType::f64);
    CHECK(std::abs(mean(x).item()) < 0.01);
    CHECK(var(x).item() == doctest::Approx(1).epsilon(0.02));
    CHECK(std::abs(mean(x * x * x).item()) < 0.04);
    CHECK(mean(x * x * x * x).item() == doctest::Approx(3).epsilon(0.05));
    int64_t within = 0;
    for (double v : x.data<double>()) within += std::abs(v) < 1;
    CHECK(static_cast<double>(within) / 200000 == doctest::Approx(0.6827).epsilon(0.01));
    const auto values = x.data<double>();  // neighbours come from one counter, and must not know each other
    double product = 0;
    for (size_t i = 0; i + 1 < values.size(); ++i) product += values[i] * values[i + 1];
    CHECK(std::abs(product / 200000) < 0.01);
  }
}

TEST_CASE("dropout keeps each element with probability 1 - p, scaled") {
  const Tensor y = dropout(ones({100000}), 0.25, Generator(4));
  int64_t kept = 0;
  for (float v : y.data<float>()) {
    REQUIRE((v == 0 || v == doctest::Approx(4.0 / 3)));
    kept += v != 0;
  }
  CHECK(static_cast<double>(kept) / 100000 == doctest::Approx(0.75).epsilon(0.01));
  CHECK(sum(dropout(ones({1000}), 1.0)).item() == 0);
  CHECK_THROWS_AS(dropout(ones({2}), 1.1), Error);
  CHECK_THROWS_AS(dropout(ones({2}), -0.1), Error);
  CHECK_THROWS_AS(dropout(ones({2}), NAN), Error);
}

TEST_CASE("a generator goes on where it stopped, and repeats from where it is set") {
  const Generator g(9);
  CHECK(g.seed() == 9);
  CHECK(g.offset() == 0);
  const Tensor first = rand({10}, 0, 1, DType::f32, g);
  CHECK(g.offset() == 3);  // ten numbers take three counters of four
  const Tensor second = rand({10}, 0, 1, DType::f32, g);
  CHECK(to_string(first) != to_string(second));
  g.set(9, 3);
  CHECK(to_string(rand({10}, 0, 1, DType::f32, g)) == to_string(second));
  const Generator again(9);
  CHECK(to_string(rand({10}, 0, 1, DType::f32, again)) == to_string(first));
  rand({5}, 0, 1, DType::f64, again);
  CHECK(again.offset() == 3 + 4);  // f64 takes twice as many
  const Generator copy = again;
  rand({4}, 0, 1, DType::f32, copy);
  CHECK(again.offset() == 8);
}

TEST_CASE("draws of any shape have the same numbers, and different seeds do not") {
  const Tensor flat = randn({24}, DType::f32, Generator(5)),
               cube = randn({2, 3, 4}, DType::f32, Generator(5));
  CHECK(std::equal(flat.data<float>().begin(), flat.data<float>().end(), cube.data<float>().begin()));
  CHECK(to_string(flat) != to_string(randn({24}, DType::f32, Generator(6))));
  const Tensor part =
      randn({7}, DType::f32, Generator(5));  // and a shorter draw is the start of a longer one
  CHECK(std::equal(part.data<float>().begin(), part.data<float>().end(), flat.data<float>().begin()));
}

TEST_CASE("every thread has its own default generator") {
  manual_seed(7);
  const std::string here = to_string(rand({4}));
  std::string there;
  std::thread([&] {
    manual_seed(7);
    there = to_string(rand({4}));
  }).join();
  CHECK(here == there);
  CHECK(default_generator().offset() == 1);
  manual_seed(7);
  CHECK(to_string(rand({4})) == here);
}

TEST_CASE("bounds and dtypes of draws are held") {
  const Tensor x = rand({1000}, -3, 5, DType::f64, Generator(8));
  CHECK(min(x).item() >= -3);
  CHECK(max(x).item() < 5);
  CHECK(max(x).item() > 4.9);
  CHECK_THROWS_AS(rand({2}, 0, 1, DType::i32), DTypeError);
  CHECK_THROWS_AS(randn({2}, DType::boolean), DTypeError);
  CHECK_THROWS_AS(apply_one(Uniform{{2}}, {zeros({2})}), ShapeError);
}

TEST_CASE("bounds in the wrong order, or not finite, are refused") {
  constexpr double kLargest = std::numeric_limits<double>::max();
  for (const auto& [low, high] : std::initializer_list<std::pair<double, double>>{{1, 0},
                                                                                  {NAN, 1},
                                                                                  {0, NAN},
                                                                                  {-HUGE_VAL, 0},
                                                                                  {0, HUGE_VAL},
                                                                                  {HUGE_VAL, HUGE_VAL},
                                                                                  {-kLargest, kLargest}}) {
    const std::string message = message_of([low = low, high = high] { rand({2}, low, high, DType::f64); });
    CAPTURE(message);
    CHECK(contains(message, "required are finite bounds, the lower one first"));
  }
  CHECK(contains(message_of([] { rand({2}, 5, -3); }), "rand: from 5 to -3"));
}

TEST_CASE("a draw never rounds up to its upper bound, nor down below its lower one") {
  for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16})
    for (double low : {0.0, 1.0, -1.0, 1024.0, -1025.0, 1e-6, 3e4})
      for (double width : {1.0, 0.5, 0x1p-10, 0x1p-20, 3.0}) {
        const Tensor bounds = cast(tensor<double>({low, low + width}), dtype);
        const double least = bounds[0].item(), end = bounds[1].item();
        if (least == end) continue;
        const Tensor x = rand({1000}, low, low + width, dtype, Generator(3));
        CAPTURE(name_of(dtype));
        CAPTURE(low);
        CAPTURE(width);
        CHECK(min(x).item() >= least);
        CHECK(max(x).item() < end);
      }
  // This counter holds the largest u of f32, and only for that 1 + u is a tie that goes to 2.
  const Generator largest(0);
  largest.set(0, 2330056);
  CHECK(max(rand({4}, 1, 2, DType::f32, largest)).item() == 2 - 0x1p-23);
  CHECK(rand({3}, 2, 2)[0].item() == 2);
  CHECK(max(rand({1000}, -1, 0, DType::f16, Generator(4))).item() < 0);
}

TEST_CASE("a state seen backwards is read and moved within itself") {
  const Tensor memory = tensor<uint64_t>({7, 0, 42, 43});
  const Generator backwards(flip(slice(memory, 0, 0, 2), 0));  // {seed 0, offset 7}
  Generator plain(0);
  plain.set(0, 7);
  CHECK(to_string(rand({9}, 0, 1, DType::f32, backwards)) == to_string(rand({9}, 0, 1, DType::f32, plain)));
  CHECK(to_string(memory) == to_string(tensor<uint64_t>({10, 0, 42, 43})));
}
