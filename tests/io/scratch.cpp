// Scratch: memory that is kept, and that a failure does not leave behind as what it is not.
#include <varve/io/scratch.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <new>

using namespace varve::io;

TEST_CASE("memory is kept for what is not larger, and is there again after it could not be had") {
  Scratch scratch;
  std::byte* const first = scratch.take(100).data();
  CHECK(scratch.take(60).data() == first);
  CHECK(scratch.take(60).size() == 60);
  CHECK_THROWS_AS(scratch.take(std::numeric_limits<size_t>::max()), std::bad_alloc);
  const auto bytes = scratch.take(60);
  REQUIRE(bytes.data() != nullptr);
  std::fill(bytes.begin(), bytes.end(), std::byte{1});
}
