#include <varve/core/arena.h>

#include <algorithm>
#include <vector>

namespace varve {

void Arena::use(uint32_t block, size_t bytes, size_t time) {
  constexpr size_t kLine = 64;
  const size_t lines = std::max<size_t>(1, (bytes + kLine - 1) / kLine);  // what is empty has a place, too
  Block& b = blocks_.try_emplace(block, Block{lines * kLine, time, time}).first->second;
  b.first = std::min(b.first, time);
  b.last = std::max(b.last, time);
}

// Largest first, each at the lowest offset that is free over its whole life.
size_t Arena::lay_out(size_t apart) {
  std::vector<Block*> order;
  for (auto& [number, b] : blocks_) order.push_back(&b);
  std::stable_sort(order.begin(), order.end(),
                   [](const Block* a, const Block* b) { return a->bytes > b->bytes; });
  for (auto b = order.rbegin(); b != order.rend() && (*b)->bytes <= apart; ++b)
    apart -= (*b)->bytes, (*b)->first = 0, (*b)->last = SIZE_MAX;
  std::vector<Block*> placed;  // by offset
  size_t total = 0;
  for (Block* b : order) {
    b->offset = 0;
    for (const Block* other : placed)
      if (b->overlaps(*other) && b->offset + b->bytes > other->offset)
        b->offset = std::max(b->offset, other->offset + other->bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), b,
                                   [](const Block* x, const Block* y) { return x->offset < y->offset; }),
                  b);
    total = std::max(total, b->offset + b->bytes);
  }
  return total;
}

}  // namespace varve
