// Which views share memory: against painting every byte.
#include <varve/io/sharing.h>

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include <varve/core/ops/make.h>
#include <varve/core/ops/views.h>
#include <varve/io/extent.h>

using namespace varve;
using namespace varve::io;

namespace {

using Groups = std::vector<std::vector<size_t>>;

Groups found(const std::vector<ValuePtr>& views) {
  std::vector<size_t> order;
  Groups out;
  for (const auto group : sharing(views, order)) out.emplace_back(group.begin(), group.end());
  return out;
}

std::set<int64_t> bytes_of(const Value& v) {
  std::set<int64_t> bytes{v.offset};
  for (int axis = 0; axis < v.shape.rank(); ++axis) {
    std::set<int64_t> more;
    for (const int64_t at : bytes)
      for (int64_t i = 0; i < v.shape[axis]; ++i)
        more.insert(at + i * v.strides[axis] * static_cast<int64_t>(size_of(v.dtype)));
    bytes = std::move(more);
  }
  std::set<int64_t> all;
  for (const int64_t at : bytes)
    for (size_t b = 0; b < size_of(v.dtype); ++b) all.insert(at + static_cast<int64_t>(b));
  return all;
}

// Every byte says who was there; groups that meet are merged.
Groups expected(const std::vector<ValuePtr>& views) {
  std::vector<size_t> group(views.size());
  std::map<int64_t, size_t> first;
  for (size_t i = 0; i < views.size(); ++i) {
    group[i] = i;
    for (const int64_t byte : bytes_of(*views[i])) {
      const size_t other = group[first.try_emplace(byte, i).first->second], mine = group[i];
      for (size_t& g : group)
        if (g == other || g == mine) g = std::min(other, mine);
    }
  }
  Groups out;
  std::map<size_t, size_t> place;
  for (size_t i = 0; i < views.size(); ++i) {
    const auto [at, is_new] = place.try_emplace(group[i], out.size());
    if (is_new) out.emplace_back();
    out[at->second].push_back(i);
  }
  return out;
}

}  // namespace

TEST_CASE("views are in one group if they share a byte, directly or by way of others") {
  std::mt19937 random(1);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  const Tensor base = zeros({6, 5, 4});
  size_t several = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<ValuePtr> views;
    const int64_t count = 2 + below(5);
    for (int64_t k = 0; k < count; ++k) {
      Tensor t = base;
      for (int axis = 0; axis < 3; ++axis) {
        const int64_t begin = below(t.size(axis)), end = begin + 1 + below(t.size(axis) - begin);
        t = slice(t, axis, begin, end, 1 + below(3));
        if (below(4) == 0) t = flip(t, axis);
      }
      if (below(2)) t = permute(t, {2, 0, 1});
      Value v = t.value();
      if (below(3) == 0) v.dtype = DType::u8, v.offset += below(4);  // numbers of other sizes, too
      if (v.dtype == DType::u8)
        for (int i = 0; i < v.strides.rank(); ++i) v.strides[i] *= 4;
      views.push_back(std::make_shared<const Value>(v));
      CHECK(is_nested(v.shape, v.strides));
    }
    const Groups groups = expected(views);
    several += groups.size() > 1 && groups.size() < views.size();
    CHECK(found(views) == groups);
  }
  CHECK(several > 200);
}

TEST_CASE("names of one view are one, and meet nobody by being many") {
  const Tensor table = zeros({100, 3});
  const auto column = [&](int64_t i) { return slice(table, 1, i, i + 1).value_ptr(); };
  CHECK(found({column(0), column(1), column(0), column(1), column(2)}) == Groups{{0, 2}, {1, 3}, {4}});
}

TEST_CASE("views of different memory share nothing") {
  const Tensor a = zeros({3}), b = zeros({3});
  CHECK(found({a.value_ptr(), b.value_ptr(), a.value_ptr()}) == Groups{{0, 2}, {1}});
  CHECK(found({}) == Groups{});
}

TEST_CASE("axes nest unless elements repeat or interleave") {
  CHECK(is_nested({2, 3}, {3, 1}));
  CHECK(is_nested({2, 3}, {-1, 2}));
  CHECK(is_nested({1, 3}, {0, 1}));
  CHECK(is_nested({0, 3}, {0, 0}));
  CHECK(!is_nested({2, 3}, {0, 1}));
  CHECK(!is_nested({2, 2}, {1, 1}));
  CHECK(!is_nested({2, 3}, {2, 1}));
  CHECK(is_nested({2, 3, 5}, {1, 2, 6}));
  CHECK(!is_nested({2, 3, 5}, {1, 2, 5}));
}
