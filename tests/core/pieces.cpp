// How many pieces work is cut into, by how much there is and by the threads.
#include <doctest/doctest.h>

#include <varve/core/cpu/pieces.h>

using varve::cpu::pieces_for;

TEST_CASE("work is cut for as many threads as it is worth") {
  for (const double work : {0.0, 1.0, 1e6, 1e12}) CHECK(pieces_for(work, 1) == 1);
  CHECK(pieces_for(99e3, 2) == 1);
  CHECK(pieces_for(1e5, 2) == 2);
  CHECK(pieces_for(255e6, 2) == 2);
  CHECK(pieces_for(256e6, 2) == 4);
  CHECK(pieces_for(4e9, 2) == 16);
  CHECK(pieces_for(99e3, 16) == 1);
  CHECK(pieces_for(1e5, 16) == 2);
  CHECK(pieces_for(64 * 784 * 256, 16) == 12);
  CHECK(pieces_for(20e6, 16) == 16);
  CHECK(pieces_for(20e6, 6) == 6);
  CHECK(pieces_for(3e9, 12) == 24);
  CHECK(pieces_for(1e12, 64) == 8 * 64);
}
