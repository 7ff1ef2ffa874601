// Which calls must follow which, by the memory they use; no GPU is asked.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
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
  size_t calls = 0;
  const auto call = [&](const std::vector<View>& reads, const std::vector<View>& writes) {
    d.add(reads, writes);
    return d.needed(calls++);
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
    std::vector<View> reads, writes;
    calls.emplace_back();
    for (int k = 0; k < 3; ++k) {
      const int first = below(120), count = 1 + below(6);
      calls[i].push_back({first, first + count, k == 0});
      if (k == 0)
        writes.push_back(floats(first, count));
      else
        reads.push_back(floats(first, count));
    }
    d.add(reads, writes);
    before.emplace_back(300), told.emplace_back(300);
    for (size_t j = 0; j < i; ++j)
      for (const Use& x : calls[i])
        for (const Use& y : calls[j])
          if ((x.writes || y.writes) && x.first < y.end && y.first < x.end) before[i][j] = true;
    for (size_t j = i; j-- > 0;)
      if (before[i][j])
        for (size_t k = 0; k < j; ++k) before[i][k] = before[i][k] || before[j][k];
    const Calls direct = d.needed(i);
    for (const size_t j : direct) {
      CHECK(!told[i][j]);  // nothing that another of them says
      told[i][j] = true;
      for (size_t k = 0; k < j; ++k) told[i][k] = told[i][k] || told[j][k];
    }
    CHECK(told[i] == before[i]);
  }
}

TEST_CASE(
    "a call joins an earlier one unless others would have to come between, and units keep every order") {
  Dependencies d;
  d.add({}, std::vector{floats(0, 1)});
  d.add(std::vector{floats(0, 1)}, std::vector{floats(1, 1)});
  d.add(std::vector{floats(0, 1), floats(1, 1)}, std::vector{floats(2, 1)});
  d.add(std::vector{floats(9, 1)}, std::vector{floats(3, 1)});
  CHECK(!d.join(0, 2));  // 1 is between
  CHECK(!d.is_joined(2));
  CHECK(d.join(0, 3));
  CHECK(d.members(0) == Calls{0, 3});
  CHECK(d.order() == Calls{0, 1, 2});
  CHECK(d.join(0, 1));
  CHECK(d.join(0, 2));  // 1 is in it by now
  CHECK(d.order() == Calls{0});

  std::mt19937 engine(4);
  const auto below = [&](size_t n) { return static_cast<uint32_t>(engine() % n); };
  size_t joined = 0, refused = 0;
  for (int round = 0; round < 30; ++round) {
    constexpr size_t kCalls = 60;
    Dependencies some;
    std::vector<std::array<int64_t, 3>> uses;  // two that it reads, one that it writes
    for (size_t i = 0; i < kCalls; ++i) {
      uses.push_back({below(40), below(40), below(40)});
      some.add(std::vector{floats(uses[i][0], 1), floats(uses[i][1], 1)}, std::vector{floats(uses[i][2], 1)});
    }
    for (int attempt = 0; attempt < 80; ++attempt) {
      const size_t unit = below(kCalls - 1), call = unit + 1 + below(kCalls - 1 - unit);
      if (some.is_joined(unit) || some.is_joined(call) || some.members(call).size() > 1) continue;
      (some.join(unit, call) ? joined : refused) += 1;
    }
    std::vector<size_t> turn(kCalls, kCalls);  // of each call
    const Calls order = some.order();
    for (size_t t = 0; t < order.size(); ++t)
      for (const size_t member : some.members(order[t])) turn[member] = t;
    for (size_t i = 0; i < kCalls; ++i) {
      REQUIRE(turn[i] < kCalls);  // all come
      for (size_t j = 0; j < i; ++j) {
        const bool reads = uses[i][0] == uses[j][2] || uses[i][1] == uses[j][2];
        const bool writes = uses[i][2] == uses[j][0] || uses[i][2] == uses[j][1] || uses[i][2] == uses[j][2];
        if (reads || writes) CHECK(turn[j] <= turn[i]);
      }
    }
  }
  CHECK(joined > 100);
  CHECK(refused > 100);
}
