// check_same: tensors that come back from a file are those that went into it, in their order, bit for bit.
#pragma once

#include <doctest/doctest.h>

#include <varve/core/named_tensors.h>

namespace varve::test {

inline void check_same(const NamedTensors& found, const NamedTensors& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CAPTURE(expected[i].name);
    CHECK(found[i].name == expected[i].name);
    CHECK(identical(found[i].tensor, expected[i].tensor));
  }
}

}  // namespace varve::test
