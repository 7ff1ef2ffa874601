// Memory that is used again: never by two at a time, and up to a number of bytes by nobody else at all.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include <varve/core/arena.h>

using namespace varve;

namespace {

struct Block {
  size_t bytes, first, last;
};

Arena arena_of(const std::vector<Block>& blocks) {
  Arena arena;
  for (uint32_t i = 0; i < blocks.size(); ++i) {
    arena.use(i, blocks[i].bytes, blocks[i].last);
    arena.use(i, blocks[i].bytes, blocks[i].first);
  }
  return arena;
}

}  // namespace

TEST_CASE("blocks of an arena overlap only if they are never in use at one time and not among the smallest") {
  std::mt19937 engine(1);
  const auto below = [&](size_t n) { return static_cast<size_t>(engine() % n); };
  for (const size_t apart : {size_t{0}, size_t{5000}, size_t{1} << 30}) {
    std::vector<Block> blocks;
    for (int i = 0; i < 100; ++i) {
      const size_t first = below(50);
      blocks.push_back({1 + below(2000), first, first + below(8)});
    }
    Arena arena = arena_of(blocks);
    const size_t total = arena.lay_out(apart);
    size_t shared = 0, smallest_shared = SIZE_MAX, sum = 0;
    std::vector<bool> shares(blocks.size());
    for (uint32_t i = 0; i < blocks.size(); ++i) {
      CHECK(arena.offset(i) % 64 == 0);
      CHECK(arena.offset(i) + arena.bytes(i) <= total);
      sum += arena.bytes(i);
      for (uint32_t j = 0; j < blocks.size(); ++j) {
        const bool overlap = i != j && arena.offset(i) < arena.offset(j) + arena.bytes(j) &&
                             arena.offset(j) < arena.offset(i) + arena.bytes(i);
        if (!overlap) continue;
        shares[i] = true;
        CHECK((blocks[i].last < blocks[j].first || blocks[j].last < blocks[i].first));
      }
      if (shares[i]) smallest_shared = std::min(smallest_shared, arena.bytes(i)), shared += arena.bytes(i);
    }
    CAPTURE(apart);
    if (apart == 0) CHECK(total < sum / 3);
    if (apart == 5000) {
      size_t smaller = 0;  // what is smaller than all that share takes up the room there is, or nearly
      for (uint32_t i = 0; i < blocks.size(); ++i)
        if (arena.bytes(i) < smallest_shared) smaller += arena.bytes(i);
      CHECK(smaller + 3 * smallest_shared > apart);
    }
    if (apart > sum) CHECK((total == sum && shared == 0));
  }
}
