// The order of work side by side; no GPU is asked.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <utility>

#include <varve/cuda/branches.h>

using namespace varve;
using cuda::branched;
using cuda::Work;

namespace {

using Needs = std::vector<size_t>;

// What the work of that name needs, by name.
Needs needs_of(const std::vector<Work>& all, size_t name) {
  for (const Work& w : all)
    if (w.name == name) {
      Needs names;
      for (const size_t n : w.needs) names.push_back(all[n].name);
      return names;
    }
  return {99};
}

}  // namespace

TEST_CASE("what waits for several anyway waits for what those after it need besides") {
  // 3 follows 0 and 1 and is followed by 4 and 5, which need 2, too.
  const auto all =
      branched({{0, 5, {}}, {1, 5, {}}, {2, 4, {}}, {3, 2, {0, 1}}, {4, 2, {3}}, {5, 2, {4, 2}}});
  CHECK(needs_of(all, 5) == Needs{4});
  CHECK(needs_of(all, 3) == Needs{0, 1, 2});
  // Not where it would be held up, or where that follows it.
  CHECK(needs_of(branched({{0, 5, {}}, {1, 5, {}}, {2, 9, {}}, {3, 2, {0, 1}}, {4, 9, {3}}, {5, 2, {4, 2}}}),
                 5) == Needs{4, 2});
  CHECK(needs_of(branched({{0, 5, {}}, {1, 5, {}}, {2, 2, {0, 1}}, {3, 1, {2}}, {4, 5, {2}}, {5, 2, {4, 3}}}),
                 5) == Needs{4, 3});
  // Nor where nothing before waits for several.
  CHECK(needs_of(branched({{0, 5, {}}, {1, 1, {}}, {2, 2, {0, 1}}}), 2) == Needs{0, 1});
}

TEST_CASE("whatever must follow still does, and in order") {
  std::mt19937 engine(6);
  const auto below = [&](size_t n) { return static_cast<uint32_t>(engine() % n); };
  size_t before = 0, after = 0;
  for (int round = 0; round < 50; ++round) {
    constexpr size_t kCount = 40;
    std::vector<Work> all;
    std::vector<std::vector<bool>> follows(kCount, std::vector<bool>(kCount));
    const auto close = [&](size_t w, const Needs& needs, auto&& name) {
      for (const size_t n : needs) {
        follows[w][name(n)] = true;
        for (size_t k = 0; k < kCount; ++k) follows[w][k] = follows[w][k] || follows[name(n)][k];
      }
    };
    for (size_t w = 0; w < kCount; ++w) {
      Work work{w, 1.0 + static_cast<double>(below(5)), {}};
      for (size_t k = 0; w > 0 && k < 1 + below(3); ++k)
        if (const size_t n = w - 1 - below(std::min<size_t>(w, 8));
            std::find(work.needs.begin(), work.needs.end(), n) == work.needs.end())
          work.needs.push_back(n);
      close(w, work.needs, [](size_t n) { return n; });
      before += work.needs.size() > 1;
      all.push_back(work);
    }
    const auto required =
        std::exchange(follows, std::vector<std::vector<bool>>(kCount, std::vector<bool>(kCount)));
    const std::vector<Work> found = branched(all);
    REQUIRE(found.size() == kCount);
    for (size_t i = 0; i < kCount; ++i) {
      for (const size_t n : found[i].needs) REQUIRE(n < i);
      close(found[i].name, found[i].needs, [&](size_t n) { return found[n].name; });
      after += found[i].needs.size() > 1;
    }
    for (size_t w = 0; w < kCount; ++w)
      for (size_t k = 0; k < kCount; ++k)
        if (required[w][k]) CHECK(follows[w][k]);
  }
  CHECK(after < before * 9 / 10);
}
