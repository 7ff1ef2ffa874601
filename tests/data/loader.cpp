// Loader: every example once an epoch, in a pure function of seed and epoch, and resumable anywhere.
#include <varve/data/loader.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include <varve/core/ops/views.h>

#include "tests/fixture.h"

using namespace varve;

namespace {

// Example i is {i, i + 0.5} with target 10 i.
data::Loader make(int64_t count, data::Loader::Options options) {
  const Tensor inputs = stack({arange(0, static_cast<double>(count), 1, DType::f32),
                               arange(0.5, static_cast<double>(count) + 0.5, 1, DType::f32)},
                              1);
  return {inputs, arange(0, 10.0 * static_cast<double>(count), 10), options};
}

std::vector<std::vector<int64_t>> epoch_of(data::Loader& loader) {
  std::vector<std::vector<int64_t>> out;
  while (const auto batch = loader.next()) {
    const auto targets = batch->targets.data<int64_t>();
    const auto inputs = batch->inputs.data<float>();
    REQUIRE(inputs.size() == 2 * targets.size());
    for (size_t i = 0; i < targets.size(); ++i) {
      CHECK(inputs[2 * i] * 10 == static_cast<float>(targets[i]));
      CHECK(inputs[2 * i + 1] == inputs[2 * i] + 0.5f);
    }
    out.emplace_back(targets.begin(), targets.end());
  }
  return out;
}

std::vector<int64_t> joined(const std::vector<std::vector<int64_t>>& batches) {
  std::vector<int64_t> out;
  for (const auto& b : batches) out.insert(out.end(), b.begin(), b.end());
  return out;
}

NamedTensors copied(const NamedTensors& state) {
  NamedTensors out;
  for (const NamedTensor& t : state) out.add(t.name, clone(t.tensor));
  return out;
}

}  // namespace

TEST_CASE("every epoch gives every example once, in batches of the asked size") {
  for (const int64_t count : {0, 1, 7, 8, 9, 64})
    for (const int64_t size : {1, 3, 8, 100})
      for (const bool shuffle : {false, true})
        for (const bool drop : {false, true}) {
          CAPTURE(count);
          CAPTURE(size);
          data::Loader loader =
              make(count, {.batch_size = size, .shuffle = shuffle, .seed = 5, .drop_last = drop});
          for (int64_t epoch = 0; epoch < 3; ++epoch) {
            CHECK(loader.epoch() == epoch);
            const auto batches = epoch_of(loader);
            CHECK(static_cast<int64_t>(batches.size()) == loader.batches());
            CHECK(loader.batches() == (drop ? count / size : (count + size - 1) / size));
            for (size_t b = 0; b + 1 < batches.size(); ++b)
              CHECK(static_cast<int64_t>(batches[b].size()) == size);
            std::vector<int64_t> all = joined(batches);
            if (!shuffle) CHECK(std::is_sorted(all.begin(), all.end()));
            std::sort(all.begin(), all.end());
            CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
            CHECK(static_cast<int64_t>(all.size()) == (drop ? count / size * size : count));
          }
        }
}

TEST_CASE("the order is a function of seed and epoch alone") {
  const auto order = data::permutation(100, 1, 0);
  CHECK(order == data::permutation(100, 1, 0));
  CHECK(order != data::permutation(100, 1, 1));
  CHECK(order != data::permutation(100, 2, 0));
  // What a second implementation gives: files resume years later, so the order is fixed for good.
  CHECK(data::permutation(8, 1, 0) == std::vector<int64_t>{6, 7, 3, 5, 4, 0, 1, 2});

  data::Loader loader = make(100, {.batch_size = 9, .shuffle = true, .seed = 1});
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> expected = data::permutation(100, 1, epoch);
    for (int64_t& i : expected) i *= 10;
    CHECK(joined(epoch_of(loader)) == expected);
  }
}

TEST_CASE("no permutation is of fewer than none, or of more than memory can number") {
  CHECK(data::permutation(0, 1, 0).empty());
  for (const int64_t count : {int64_t{-1}, INT64_MIN, INT64_MAX}) {
    CAPTURE(count);
    CHECK_THROWS_WITH_AS(data::permutation(count, 1, 0), doctest::Contains("permutation: count = "), Error);
  }
}

TEST_CASE("every permutation is equally likely") {
  std::map<std::vector<int64_t>, int> counts;
  constexpr int kEach = 200, kDraws = 24 * kEach;
  for (uint64_t epoch = 0; epoch < kDraws; ++epoch) ++counts[data::permutation(4, 9, epoch)];
  CHECK(counts.size() == 24);
  double chi_square = 0;
  for (const auto& [order, count] : counts) chi_square += (count - kEach) * (count - kEach) / double(kEach);
  CHECK(chi_square < 50);  // 23 degrees of freedom: above 49.7 once in a thousand
}

TEST_CASE("a loader resumed anywhere gives exactly the batches of the undisturbed one") {
  const data::Loader::Options options{.batch_size = 4, .shuffle = true, .seed = 3};
  const int given = 13;  // two epochs and more: 5 batches and an end each
  for (int taken = 0; taken <= given; ++taken) {
    data::Loader first = make(18, options);
    for (int i = 0; i < taken; ++i) first.next();
    const NamedTensors saved = copied(first.state_dict());
    data::Loader resumed = make(18, {.batch_size = 4, .shuffle = true, .seed = 99});
    resumed.next();
    resumed.load_state_dict(saved);
    CHECK(resumed.epoch() == first.epoch());
    CHECK(resumed.batch() == first.batch());
    for (int i = 0; i < 12; ++i) {
      const auto a = first.next(), b = resumed.next();
      REQUIRE(a.has_value() == b.has_value());
      if (!a) continue;
      CHECK(test::identical(a->inputs, b->inputs));
      CHECK(test::identical(a->targets, b->targets));
    }
  }
}

TEST_CASE("a position that would mean other batches is refused, and nothing changes") {
  const data::Loader::Options options{.batch_size = 4, .shuffle = true, .seed = 3};
  data::Loader loader = make(18, options);
  loader.next();
  const NamedTensors before = copied(loader.state_dict());
  const auto refuses = [&](const NamedTensors& state) {
    CHECK_THROWS_AS(loader.load_state_dict(state), Error);
    const NamedTensors now = loader.state_dict();
    CHECK(std::equal(now.begin(), now.end(), before.begin(), before.end(),
                     [](const auto& a, const auto& b) { return test::identical(a.tensor, b.tensor); }));
  };
  refuses(make(17, options).state_dict());
  refuses(make(18, {.batch_size = 5, .shuffle = true, .seed = 3}).state_dict());
  refuses(make(18, {.batch_size = 4, .seed = 3}).state_dict());
  refuses(make(18, {.batch_size = 4, .shuffle = true, .seed = 3, .drop_last = true}).state_dict());
  for (const NamedTensor& t : before) {
    NamedTensors state;
    for (const NamedTensor& other : before)
      if (other.name != t.name) state.add(other.name, other.tensor);
    refuses(state);                                   // missing
    state.add(t.name, zeros({2}, t.tensor.dtype()));  // misshapen
    refuses(state);
  }
  for (const char* name : {"epoch", "batch"})
    for (const double value : {-1.0, 6.0}) {
      if (std::string(name) == "epoch" && value > 0) continue;
      NamedTensors state = copied(before);
      state.find(name)->fill(value);
      refuses(state);
    }
}

TEST_CASE("batches keep dtype and shape, and have memory of their own") {
  const Tensor images = reshape(arange(0, 5 * 6, 1, DType::u8), {5, 2, 3});
  data::Loader loader{images, arange(5), {.batch_size = 2}};
  const auto batch = loader.next();
  CHECK(batch->inputs.shape() == Shape{2, 2, 3});
  CHECK(batch->inputs.dtype() == DType::u8);
  batch->inputs.fill(0);
  CHECK(images.data<uint8_t>()[5] == 5);

  // A transposed data set is put in order first.
  const Tensor turned = transpose(reshape(arange(6), {2, 3}));
  data::Loader second{turned, zeros({3, 1}), {.batch_size = 3}};
  CHECK(test::identical(second.next()->inputs, turned));
}

TEST_CASE("loaders refuse data that do not belong together") {
  CHECK_THROWS_WITH_AS((data::Loader{zeros({4, 2}), zeros({5})}),
                       "Loader: inputs [4, 2] with targets [5]; required are as many of one as of the other",
                       ShapeError);
  CHECK_THROWS_AS((data::Loader{zeros({}), zeros({})}), ShapeError);
  CHECK_THROWS_AS((data::Loader{Tensor(), zeros({1})}), ShapeError);
  CHECK_THROWS_AS((data::Loader{zeros({4}), zeros({4}), {.batch_size = 0}}), Error);
}
