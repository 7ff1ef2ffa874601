// Loader: every example once an epoch, in a pure function of seed and epoch, and resumable anywhere.
#include <varve/data/loader.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include <varve/core/cpu/threads.h>
#include <varve/core/graph.h>
#include <varve/core/ops/elementwise.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/views.h>
#include <varve/core/plan.h>
#include <varve/core/record.h>

#include "tests/copied.h"
#include "tests/fixture.h"
#include "tests/scarce_threads.h"

using namespace varve;
using test::copied;

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

namespace {

// Bytes and their halves: a data set whose inputs are made numbers batch by batch.
data::Loader::Options halving(bool prefetch) {
  return {
      .batch_size = 4, .shuffle = true, .seed = 3, .prefetch = prefetch, .transform = [](const Tensor& x) {
        return cast(x, DType::f32) * 0.5;
      }};
}

data::Loader bytes(data::Loader::Options options) {
  return {reshape(arange(0, 18 * 5, 1, DType::u8), {18, 5}), arange(18), std::move(options)};
}

bool same(const std::optional<data::Batch>& a, const std::optional<data::Batch>& b) {
  return a.has_value() == b.has_value() &&
         (!a || (test::identical(a->inputs, b->inputs) && test::identical(a->targets, b->targets)));
}

}  // namespace

TEST_CASE("batches made ahead are those made when asked for, wherever the loader goes") {
  data::Loader ahead = bytes(halving(true)), plain = bytes(halving(false));
  CHECK(plain.next()->inputs.dtype() == DType::f32);
  ahead.next();
  const NamedTensors fourth = [&] {
    for (int i = 0; i < 3; ++i) ahead.next(), plain.next();
    return copied(ahead.state_dict());
  }();
  CHECK(ahead.batch() == 4);  // what is made ahead was not given
  for (int i = 0; i < 30; ++i) {
    CAPTURE(i);
    if (i % 7 == 3) ahead.load_state_dict(fourth), plain.load_state_dict(fourth);
    if (i % 5 == 4) {
      data::Loader moved = std::move(ahead);
      CHECK_THROWS_WITH_AS(ahead.next(), doctest::Contains("moved from"), Error);
      ahead = std::move(moved);
    }
    CHECK(same(ahead.next(), plain.next()));
    CHECK(ahead.epoch() == plain.epoch());
    CHECK(ahead.batch() == plain.batch());
  }
}

TEST_CASE("a batch is made ahead, one and no more, by a thread that takes none of the pool's") {
  std::atomic<int> made{0}, alone{0};
  const std::thread::id mine = std::this_thread::get_id();
  std::atomic<bool> elsewhere{false};
  const int before = threads();
  set_threads(2);
  {
    data::Loader loader = bytes({.batch_size = 4, .transform = [&](const Tensor& x) {
                                   elsewhere = std::this_thread::get_id() != mine;
                                   alone += elsewhere && cpu::is_alone();
                                   CHECK_FALSE(grad_enabled());
                                   ++made;
                                   return x;
                                 }});
    CHECK(made == 0);
    loader.next();
    while (made < 2) std::this_thread::yield();
    CHECK(elsewhere);
    CHECK(alone == 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(made == 2);
    CHECK_FALSE(cpu::is_alone());
    int given = 1;
    while (loader.epoch() < 3) given += loader.next().has_value();
    while (made < given + 1) std::this_thread::yield();  // the first of the next epoch, too
    CHECK(made == given + 1);
  }
  set_threads(before);
}

TEST_CASE("where no thread can start, batches are made when asked for") {
  const test::ScarceThreads none(0);
  data::Loader ahead = bytes(halving(true)), plain = bytes(halving(false));
  for (int i = 0; i < 9; ++i) CHECK(same(ahead.next(), plain.next()));
}

TEST_CASE("what a transform throws is thrown by next, and nothing is skipped") {
  for (const bool prefetch : {false, true}) {
    CAPTURE(prefetch);
    std::atomic<int> failing{20}, thrown{0};  // of the second batch
    const auto transform = [&](const Tensor& x) {
      if (x.data<uint8_t>()[0] == failing) throw Error("not this one, " + std::to_string(++thrown));
      return cast(x, DType::f32);
    };
    data::Loader loader = bytes({.batch_size = 4, .prefetch = prefetch, .transform = transform});
    CHECK(loader.next()->targets[0].item() == 0);
    while (prefetch && thrown == 0) std::this_thread::yield();
    CHECK_THROWS_WITH_AS(loader.next(), "not this one, 1", Error);
    CHECK(loader.batch() == 1);
    CHECK_THROWS_WITH_AS(loader.next(), "not this one, 2", Error);
    failing = -1;
    CHECK(loader.next()->targets[0].item() == 4);
    CHECK(loader.next()->targets[0].item() == 8);
  }
}

TEST_CASE("a compiled transform gives each batch its own memory") {
  for (const bool prefetch : {false, true}) {
    auto twice = compile([](const Tensor& x) { return x * 2.0; });
    data::Loader loader =
        make(12, {.batch_size = 3, .prefetch = prefetch, .transform = [&](const Tensor& x) -> Tensor {
                    return twice(x);
                  }});
    std::vector<data::Batch> batches;
    while (auto batch = loader.next()) batches.push_back(*batch);
    for (size_t i = 0; i < batches.size(); ++i)
      CHECK(batches[i].inputs[0][0].item() == 6.0 * static_cast<double>(i));
  }
}

TEST_CASE("a transform keeps the examples that it is given") {
  for (const auto& wrong :
       {+[](const Tensor&) { return Tensor(); }, +[](const Tensor& x) { return slice(x, 0, 1, 4); },
        +[](const Tensor&) { return zeros({}); }}) {
    data::Loader loader = bytes({.batch_size = 4, .transform = wrong});
    CHECK_THROWS_WITH_AS(loader.next(), doctest::Contains("of 4 examples; required is [4, ...]"), ShapeError);
  }
}

TEST_CASE("a loader may go at any moment, and is no part of a trace") {
  for (int taken = 0; taken < 8; ++taken) {
    data::Loader loader = bytes(halving(true));
    for (int i = 0; i < taken; ++i) loader.next();
  }
  data::Loader loader = bytes(halving(true));
  CHECK_THROWS_AS(trace([&](const Tensors&) { return Tensors{loader.next()->inputs}; }, {}), Error);
}
