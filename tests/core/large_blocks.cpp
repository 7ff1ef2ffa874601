#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <varve/core/cpu/large_blocks.h>

using varve::cpu::kHugePage;
using varve::cpu::LargeBlocks;

namespace {

constexpr size_t kSize = 3 * kHugePage + 64;

}  // namespace

TEST_CASE("large blocks: what was given back last is had again by who asks for as much, and by nobody else") {
  LargeBlocks blocks;
  void* const first = blocks.take(kSize);
  void* const second = blocks.take(kSize);
  CHECK(reinterpret_cast<uintptr_t>(first) % kHugePage == 0);
  CHECK(first != second);
  blocks.give(first, kSize);
  blocks.give(second, kSize);
  CHECK(blocks.kept_bytes() >= 2 * kSize);
  void* const other = blocks.take(2 * kSize);
  CHECK(other != first);
  CHECK(other != second);
  CHECK(blocks.take(kSize) == second);
  CHECK(blocks.take(kSize) == first);
  CHECK(blocks.kept_bytes() == 0);
  blocks.give(first, kSize);
  blocks.give(second, kSize);
  blocks.give(other, 2 * kSize);
  blocks.clear();
  CHECK(blocks.kept_bytes() == 0);
}

TEST_CASE("large blocks: no more is kept than the most, and what was kept longest goes first") {
  LargeBlocks blocks;
  constexpr size_t kQuarter = LargeBlocks::kMostKept / 4;
  std::vector<void*> taken;
  for (size_t i = 0; i < 6; ++i) taken.push_back(blocks.take(kQuarter));
  for (void* block : taken) {
    blocks.give(block, kQuarter);
    CHECK(blocks.kept_bytes() <= LargeBlocks::kMostKept);
  }
  for (size_t i = 6; i > 2; --i) CHECK(blocks.take(kQuarter) == taken[i - 1]);
  CHECK(blocks.kept_bytes() == 0);
  for (size_t i = 2; i < 6; ++i) blocks.give(taken[i], kQuarter);
  constexpr size_t kTooLarge = LargeBlocks::kMostKept + 1;
  blocks.give(blocks.take(kTooLarge), kTooLarge);  // is kept by nobody, and drives nothing out
  CHECK(blocks.kept_bytes() == LargeBlocks::kMostKept);
}

TEST_CASE("large blocks: what cannot be had is null, and an allocation that fails gives up what is kept") {
  LargeBlocks blocks;
  CHECK(blocks.take(SIZE_MAX) == nullptr);
  CHECK(blocks.take(SIZE_MAX / 2) == nullptr);
}

TEST_CASE("large blocks: threads never hold one block at once") {
  LargeBlocks blocks;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int id = 0; id < 4; ++id)
    threads.emplace_back([&, id] {
      for (int i = 0; i < 200; ++i) {
        const size_t size = kHugePage * static_cast<size_t>(1 + i % 3);
        auto* const data = static_cast<std::byte*>(blocks.take(size));
        data[0] = data[size - 1] = std::byte(id);
        std::this_thread::yield();
        wrong[static_cast<size_t>(id)] += data[0] != std::byte(id) || data[size - 1] != std::byte(id);
        blocks.give(data, size);
      }
    });
  for (std::thread& t : threads) t.join();
  for (const int count : wrong) CHECK(count == 0);
}
