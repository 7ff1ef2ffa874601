// Products too large for our own kernels, or in other dtypes: of every layout and place, many at once,
// recorded, and in TF32, on the GPU, against the CPU's.
#include <thread>

#include <varve/core/precision.h>
#include <varve/varve.h>
#include "tests/core/parity.h"
#include "tests/cuda/gpu.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr DType kKinds[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
constexpr int64_t kDeep = kSimulated ? 400 : 3000, kLong = kSimulated ? 999 : 4099;
constexpr int64_t kWeb = kSimulated ? 300 : 2000, kRows = kSimulated ? 260 : 700,
                  kSide = kSimulated ? 512 : 1024;
constexpr int64_t kPool = (kLong + 1) * (kLong + 1);

double largest(const Tensor& t) { return max(abs(t)).item(); }

// Tensors on the CPU, multiplied there and on the GPU; the errors of sums of k terms grow as sqrt(k).
void check(Backend& on, const Tensor& a, const Tensor& b) {
  const OpOf op(Matmul{});
  CAPTURE(name_of(a.dtype()));
  CAPTURE(to_string(a.spec()) + " by " + to_string(b.spec()));
  CAPTURE(to_string(a.strides()) + " by " + to_string(b.strides()));
  const Tensor found = cast(run_on(on, op, {a, b})[0], DType::f64);
  const Tensor expected = cast(run_on(cpu_backend(), op, {a, b})[0], DType::f64);
  const double size = 1 + std::sqrt(static_cast<double>(a.size(-1)));
  CHECK(largest((found - expected) / (abs(expected) + size)) <= parity_tolerance(a.dtype()));
}

// Matrices cut from numbers drawn once, wherever they are to begin.
class Pool {
 public:
  Pool(Draws& draws, DType dtype)
      : all_(draws.numbers({kPool}, dtype)), few_(clone(slice(all_, 0, 0, 100'000))) {}
  Tensor matrix(int64_t rows, int64_t columns, bool turned, int64_t by) const {
    const int64_t end = by + rows * columns;
    const Tensor flat = slice(end <= few_.numel() ? few_ : all_, 0, by, end);
    return turned ? transpose(reshape(flat, {columns, rows})) : reshape(flat, {rows, columns});
  }

 private:
  Tensor all_, few_;
};

// Independent products and ones that follow each other: long sums that may be cut, one row, batches, a bias.
struct Web {
  DType dtype;
  Tensor w = randn({600, 520}, dtype), deep = randn({10 * kWeb, 72}, dtype), tall = randn({2000, 40}, dtype);
  Tensor batch = randn({6, 130, 600}, dtype), bias = randn({520}, dtype);

  Tensors operator()(const Tensor& x) const {  // [kRows, 600]
    const NoGrad guard;
    const Tensor y = relu(matmul(x, w) + bias), sums = matmul(deep, deep, true, false);
    const Tensor small = matmul(tall, tall, true, false), gram = matmul(y, y, true, false);
    const Tensor many = matmul(batch, w), pairs = matmul(batch, batch, false, true);
    return {
        y, sums, small, gram, many, pairs, matmul(slice(x, 0, 0, 1), w), matmul(y, matmul(w, x, true, true))};
  }
};

}  // namespace

TEST_CASE("products of every layout agree wherever their factors begin, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Draws draws(21);
  using Sizes = std::array<int64_t, 3>;
  using Places = std::vector<std::pair<int64_t, int64_t>>;
  const Places places = kSimulated ? Places{{0, 0}, {3, 2}} : Places{{0, 0}, {1, 0}, {0, 1}, {3, 2}, {8, 8}};
  for (const DType dtype : some_floatings()) {
    const Pool pool(draws, dtype);
    std::vector<Sizes> sizes{{257, 261, 259}};
    if (dtype != DType::f32) sizes.insert(sizes.end(), {{1, 1, 1}, {8, 16, 24}, {3, 1000, 5}, {64, 63, 1}});
    const auto check_all = [&](const Sizes& s, const Places& all) {
      for (int kind = 0; kind < 4; ++kind)
        for (const auto& [left, right] : all)
          check(*on, pool.matrix(s[0], s[1], kind & 1, left), pool.matrix(s[1], s[2], kind & 2, right));
    };
    for (const Sizes& s : sizes) check_all(s, places);
    check_all({1, kLong + 1, kLong}, {{0, 1}}), check_all({kLong + 1, kLong, 1}, {{0, 0}});
    // Lines further apart than they are long.
    const Tensor a = draws.numbers({280, 291}, dtype), b = draws.numbers({300, 293}, dtype);
    for (const int64_t by : {0, 1, 8}) {
      const Tensor inner = slice(a, 1, by, by + 280), other = slice(slice(b, 0, by, by + 280), 1, 1, 285);
      check(*on, inner, other), check(*on, transpose(inner), other);
      check(*on, inner, transpose(slice(a, 1, 2, 282)));
    }
  }
}

TEST_CASE("batches of products agree, however they lie and are broadcast, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Draws draws(22);
  for (const DType dtype : some_floatings()) {
    const int64_t more = dtype == DType::f32 ? 100 : 0;  // or they would be small
    const int64_t m = 70 + more, k = 90 + more, n = 110 + more, i = kSimulated ? 2 : 5,
                  j = kSimulated ? 3 : 7;
    const Tensor a = draws.numbers({i, j, m, k}, dtype), b = draws.numbers({i, j, k, n}, dtype);
    const Tensor one = draws.numbers({k, n}, dtype), row = draws.numbers({j, k, n}, dtype);
    const Tensor odd = draws.numbers({i, j, m - 37, k + 1}, dtype);
    check(*on, a, b), check(*on, a, one), check(*on, a, row), check(*on, slice(a, 2, 0, 1), one);
    check(*on, slice(slice(a, 0, 0, 1), 1, 0, 1), b), check(*on, flip(a, 1), b);
    check(*on, transpose(a, 0, 1), transpose(b, 0, 1)), check(*on, permute(a, {2, 0, 1, 3}), one);
    check(*on, slice(odd, 3, 1, k + 1), b), check(*on, slice(odd, 3, 0, k), one);
    check(*on, slice(a, 1, 1, j, 2), slice(b, 1, 0, j - 1, 2)), check(*on, transpose(b), transpose(a));
  }
  check(*on, draws.numbers({70'000, 3, 2}, DType::f64), draws.numbers({70'000, 2, 3}, DType::f64));
}

TEST_CASE("more shapes than are remembered give the same bits again, on the GPU") {
  Backend* on = gpu();
  if (!on) return;
  Draws draws(23);
  const Tensor a = draws.numbers({40, 50}, DType::f64), b = draws.numbers({50, 40}, DType::f64);
  const auto product = [&](int64_t i) {
    return run_on(*on, OpOf(Matmul{}), {slice(a, 0, 0, 1 + i % 40), slice(b, 1, 0, 1 + i / 40)})[0];
  };
  Tensors first;
  for (int64_t i = 0; i < 1600; ++i) first.push_back(product(i));
  for (int64_t i = 0; i < 1600; i += 7) CHECK(identical(product(i), first[static_cast<size_t>(i)]));
  check(*on, a, b);
}

TEST_CASE("several threads multiply at once, on the GPU") {
  if (!gpu()) return;
  const auto run = [](int which) {
    const OnDevice on(kCuda);
    Generator draws(static_cast<uint64_t>(which));
    Tensors all;
    for (int64_t i = 0; i < (kSimulated ? 8 : 40); ++i) {
      const DType dtype = kKinds[static_cast<size_t>(i + which) % 4];
      const Tensor a = randn({150 + i, kDeep}, dtype, draws), b = randn({kDeep, 160}, dtype, draws);
      all.push_back(matmul(a, b).to(kCpu));
    }
    return all;
  };
  std::array<Tensors, 3> expected, found;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) threads.emplace_back([&, t] { found[static_cast<size_t>(t)] = run(t); });
  for (std::thread& t : threads) t.join();
  for (int t = 0; t < 3; ++t) expected[static_cast<size_t>(t)] = run(t);
  for (size_t t = 0; t < 3; ++t)
    for (size_t i = 0; i < expected[t].size(); ++i) CHECK(identical(found[t][i], expected[t][i]));
}

TEST_CASE(
    "products of a recording, many of them side by side, have the bits they have call by call, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  for (const DType dtype : some_floatings()) {
    CAPTURE(name_of(dtype));
    manual_seed(31);
    const Web web{dtype};
    auto fast = compile([&](const Tensor& x) { return web(x); });
    for (int run = 0; run < (kSimulated ? 3 : 5); ++run) {
      const Tensor x = randn({kRows, 600}, dtype) * 0.05;
      const Tensors expected = web(x);
      const Tensors& found = fast(x);
      for (size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(i);
        CHECK(identical(found[i], expected[i]));
      }
    }
    REQUIRE(fast.plans().size() == 1);
    CHECK(fast.plans()[0]->is_recorded());
  }
}

TEST_CASE("TF32 changes products of f32 a little where it is allowed, and nothing after, on the GPU") {
  if (!gpu()) return;
  const OnDevice on(kCuda);
  manual_seed(41);
  const Tensor a = randn({kSide, kSide}), b = randn({kSide, kSide}), exact = matmul(a, b);
  const Tensor wide_a = cast(a, DType::f64), wide = matmul(wide_a, wide_a);
  const double size = largest(exact);
  auto fast = compile([](const Tensor& x, const Tensor& y) { return matmul(x, y); });
  CHECK(identical(fast(a, b), exact));
  {
    const AllowTf32 allowed;
    const Tensor rounded = matmul(a, b);
    CHECK(largest(rounded - exact) < 1e-3 * size);
    CHECK(!identical(rounded, exact));  // fails where NVIDIA_TF32_OVERRIDE=0
    for (int run = 0; run < 3; ++run) CHECK(identical(fast(a, b), rounded));
    CHECK(identical(matmul(wide_a, wide_a), wide));
  }
  CHECK(identical(matmul(a, b), exact));
  for (int run = 0; run < 3; ++run) CHECK(identical(fast(a, b), exact));
  CHECK(fast.plans().size() == 2);
}
