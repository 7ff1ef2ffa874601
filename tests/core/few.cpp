// Few against std::vector, in random walks across the border between in place and heap.
#include <doctest/doctest.h>

#include <varve/core/few.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

using namespace varve;

namespace {

using Held = std::shared_ptr<int>;  // counts who holds it: an element lost or destroyed twice shows
using Handful = Few<Held, 3>;

bool alike(const Handful& a, const std::vector<Held>& b) {
  return a.size() == b.size() && a.empty() == b.empty() &&
         std::equal(a.begin(), a.end(), b.begin(), b.end()) &&
         (b.empty() || (a.back() == b.back() && a[b.size() - 1] == b.back()));
}

}  // namespace

TEST_CASE("a few elements in place or many on the heap are the list a vector would be") {
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const Held held = std::make_shared<int>(7);
  {
    std::vector<Handful> lists(4);
    std::vector<std::vector<Held>> twins(4);
    for (int step = 0; step < 5000; ++step) {
      const size_t i = below(4), j = below(4);
      switch (below(7)) {
        case 0:
          lists[i] = lists[j], twins[i] = twins[j];
          break;
        case 1:
          if (i == j) break;
          lists[i] = std::move(lists[j]), twins[i] = std::move(twins[j]);
          CHECK(lists[j].empty());
          twins[j].clear();
          break;
        case 2:
          lists[i] = {held, nullptr}, twins[i] = {held, nullptr};
          break;
        case 3:
          lists[i].reserve(below(9));
          break;
        default:
          lists[i].push_back(held), twins[i].push_back(held);
      }
      const bool same = (lists[i] == lists[j]) == (twins[i] == twins[j]);
      CHECK(same);
      CHECK(alike(lists[i], twins[i]));
      CHECK(alike(lists[j], twins[j]));
    }
    long holders = 1;
    for (const auto& twin : twins) holders += 2 * std::count(twin.begin(), twin.end(), held);
    CHECK(held.use_count() == holders);
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("a list can be made of a function of each item, and stays in place while it is short") {
  const std::vector<int> items{1, 2, 3};
  const Few<int, 3> squares(items, [](int i) { return i * i; });
  CHECK(squares == Few<int, 3>{1, 4, 9});
  CHECK(squares.at(2) == 9);
  CHECK_THROWS_AS(squares.at(3), Error);
  const auto* place = reinterpret_cast<const std::byte*>(&squares);
  const auto* first = reinterpret_cast<const std::byte*>(squares.begin());
  CHECK((first >= place && first < place + sizeof squares));
}

TEST_CASE("an element that cannot be made leaves those before it, each destroyed once") {
  const Held held = std::make_shared<int>(7);
  const std::vector<int> items{0, 1, 2, 3, 4};
  const auto make = [&](int i) { return i < 3 ? held : throw std::runtime_error("no"); };
  CHECK_THROWS_AS((Handful(items, make)), std::runtime_error);
  CHECK(held.use_count() == 1);
}
