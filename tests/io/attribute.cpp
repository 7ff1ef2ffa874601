// The numbers in attributes.
#include <varve/io/attribute.h>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace varve;
using namespace varve::io;

TEST_CASE("an attribute's numbers are counted, read and replaced") {
  Attribute integer = int64_t{5}, real = 0.5, dims = Dims{2, -1, 7};
  CHECK(numbers_in(true) == 0);
  CHECK(numbers_in(std::string("f32")) == 0);
  CHECK(numbers_in(integer) == 1);
  CHECK(numbers_in(real) == 1);
  CHECK(numbers_in(dims) == 3);
  CHECK(number_at(dims, 1) == -1);
  set_number(integer, 0, 6);
  set_number(real, 0, 0.25);
  set_number(dims, 2, kExactInteger);
  CHECK(integer == Attribute(int64_t{6}));
  CHECK(real == Attribute(0.25));
  CHECK(dims == Attribute(Dims{2, -1, int64_t{1} << 53}));
}

TEST_CASE("an integer becomes only what is one exactly") {
  Attribute integer = int64_t{5}, dims = Dims{1};
  for (double wrong : {0.5, 0x1p60, -0x1p60, std::nan(""), std::numeric_limits<double>::infinity()}) {
    CHECK_THROWS_AS(set_number(integer, 0, wrong), Error);
    CHECK_THROWS_AS(set_number(dims, 0, wrong), Error);
  }
  CHECK(integer == Attribute(int64_t{5}));
}

TEST_CASE("doubles are the same by their bits") {
  CHECK(same(std::nan(""), std::nan("")));
  CHECK_FALSE(same(0.0, -0.0));
  CHECK_FALSE(same(1.0, int64_t{1}));
  CHECK(same(Dims{1, 2}, Dims{1, 2}));
}
