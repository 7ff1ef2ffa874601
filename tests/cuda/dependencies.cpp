// Which calls must follow which, by the memory they use; no GPU is asked.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include <varve/cuda/dependencies.h>

using namespace varve;
using cuda::Dependencies;

namespace {

std::byte memory[4096];
View floats(int64_t first, int64_t count, int64_t stride = 1) {
  return {memory + 4 * first, DType::f32, {count}, {stride}};
}
using Calls = std::vector<size_t>;

}  // namespace

TEST_CASE(
    "a call follows those that wrote what it uses, or read what it writes, and the last of each chain") {
  Dependencies d;
  const auto call = [&](const std::vector<View>& reads, const std::vector<View>& writes) {
    d.begin();
    for (const View& v : reads) d.reads(v);
    for (const View& v : writes) d.writes(v);
    return d.needed();
  };
  CHECK(call({}, {floats(0, 10)}) == Calls{});
  CHECK(call({}, {floats(10, 10)}) == Calls{});                  // beside it
  CHECK(call({floats(0, 10)}, {floats(20, 10)}) == Calls{0});    // read after write
  CHECK(call({floats(9, 2)}, {floats(30, 10)}) == Calls{1, 0});  // across both
  CHECK(call({floats(5, 1)}, {}) == Calls{0});                   // readers do not wait for each other
  CHECK(call({}, {floats(5, 1)}) == Calls{4, 2});                // write after read: not the writer again
  CHECK(call({floats(20, 10), floats(5, 2)}, {}) == Calls{5});   // 5 follows 2, which wrote the other
  CHECK(call({floats(39, 10, -1)}, {}) == Calls{3});             // backwards
  CHECK(call({floats(100, 0)}, {floats(19, 3, 400)}) == Calls{7, 6});  // to the last that it reaches
  CHECK((d.touches(0, floats(9, 1), false) && !d.touches(0, floats(10, 1), true)));
  CHECK((d.touches(2, floats(0, 1), true) && !d.touches(2, floats(0, 1), false)));
  CHECK(call({}, {floats(1000, 1)}) == Calls{});
  d.forget();
  CHECK(call({floats(1000, 1)}, {}) == Calls{});
}

TEST_CASE("what calls follow, directly or not, is what they conflict with, directly or not") {
  std::mt19937 engine(3);
  const auto below = [&](int n) { return static_cast<int>(engine() % static_cast<unsigned>(n)); };
  struct Use {
    int first, end;
    bool writes;
  };
  Dependencies d;
  std::vector<std::vector<Use>> calls;
  std::vector<std::vector<bool>> before, told;
  for (size_t i = 0; i < 300; ++i) {
    d.begin();
    calls.emplace_back();
    for (int k = 0; k < 3; ++k) {
      const int first = below(120), count = 1 + below(6);
      calls[i].push_back({first, first + count, k == 0});
      if (k == 0)
        d.writes(floats(first, count));
      else
        d.reads(floats(first, count));
    }
    before.emplace_back(300), told.emplace_back(300);
    for (size_t j = 0; j < i; ++j)
      for (const Use& x : calls[i])
        for (const Use& y : calls[j])
          if ((x.writes || y.writes) && x.first < y.end && y.first < x.end) before[i][j] = true;
    for (size_t j = i; j-- > 0;)
      if (before[i][j])
        for (size_t k = 0; k < j; ++k) before[i][k] = before[i][k] || before[j][k];
    const Calls direct = d.needed();
    for (const size_t j : direct) {
      CHECK(!told[i][j]);  // nothing that another of them says
      told[i][j] = true;
      for (size_t k = 0; k < j; ++k) told[i][k] = told[i][k] || told[j][k];
    }
    CHECK(told[i] == before[i]);
  }
}
