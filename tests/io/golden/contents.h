// What the golden files hold, by formulas that no later version changes.
#pragma once

#include <cmath>
#include <string>

#include <varve/core/ops/copy.h>
#include <varve/core/ops/index.h>
#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>
#include <varve/io/checkpoint.h>
#include <varve/io/model.h>

#include "tests/io/samples.h"

namespace varve::test::golden {

// Element i is (37 i mod 101 - 50) / 8 in floating types, its whole part in others: exact in all of them.
inline Tensor values(const Shape& shape, DType dtype = DType::f32) {
  std::vector<double> out(static_cast<size_t>(numel(shape)));
  for (size_t i = 0; i < out.size(); ++i) {
    const double value = (static_cast<double>(37 * i % 101) - 50) / 8;
    out[i] = is_floating(dtype)   ? value
             : is_unsigned(dtype) ? std::floor(std::abs(value))
                                  : std::floor(value);
    if (dtype == DType::boolean) out[i] = static_cast<double>(i % 3 == 0);
  }
  return cast(from_span(std::span<const double>(out), shape), dtype);
}

// Every dtype, every carried kind, every way to lie in a storage, a storage of two chunks, and meta of every
// kind.
inline io::Container tensors() {
  io::Container c{"state_dict", {}, {}, {}, {}};
  for (size_t i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    c.tensors.add(std::string(name_of(dtype)), values({3, 5}, dtype));
  }
  c.tensors.add("scalar", values({}));
  c.tensors.add("empty", values({0, 3}));
  const Tensor base = values({24, 16});
  c.tensors.add("base", base);
  c.tensors.add("tied", transpose(base));
  c.tensors.add("row", select(base, 0, 3));
  c.tensors.add("reversed", flip(values({9}), 0));
  c.tensors.add("every other", slice(values({20}), 0, 0, 20, 2));
  c.tensors.add("two chunks", values({600, 500}));
  c.tensors.add("zeros", zeros({300}, DType::f64));
  for (int kind = static_cast<int>(io::ElementKind::complex64); kind <= static_cast<int>(io::ElementKind::u4);
       ++kind) {
    const auto element = static_cast<io::ElementKind>(kind);
    c.carried.push_back(carried(std::string(io::info_of(element)->name), element, {2, 3}));
  }
  c.meta = io::MetaMap{{"null", {}},
                       {"bools", io::MetaList{true, false}},
                       {"int", int64_t{-1} << 62},
                       {"double", 0.1},
                       {"string", "\u03b1\n"},
                       {"bytes", io::Bytes(3, std::byte{0xfe})},
                       {"map", io::MetaMap{{"", io::MetaList{}}, {"b", io::MetaMap{}}}}};
  c.sections.push_back({"a later thing", io::Bytes(9, std::byte{7})});
  return c;
}

// Views of several dtypes in one memory, the first at no multiple of the largest; one that repeats elements;
// one view under two names; slices that share no byte.
inline NamedTensors views() {
  const Tensor numbers = values({16}), table = values({4, 6});
  const Value& v = numbers.value();
  const Tensor bytes(std::make_shared<const Value>(Value{v.storage, v.offset + 5, DType::u8, {6}, {1}}));
  const Tensor spread = expand(slice(values({9}), 0, 0, 9, 3), {2, 3});
  return {{"bytes", bytes},       {"numbers", slice(numbers, 0, 2, 6)}, {"spread", spread},
          {"spread too", spread}, {"left", slice(table, 1, 0, 2)},      {"right", slice(table, 1, 4, 6)}};
}

// A layer with dropout, a running mean, and a weight under two names.
struct Net {
  Tensor weight = values({6, 4}).set_requires_grad(), alias = weight;
  Tensor running = values({4});
  Mode mode;
  Tensor operator()(const Tensor& x) const {
    const Tensor h = relu(matmul(reshape(x, {x.size(0), 6}), weight)) - running;
    if (!mode.training()) return h;
    no_grad([&] { running.assign(running * 0.5 + select(h, 0, 0)); });
    return dropout(h, 0.5);
  }
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("alias", self.alias);
    visit("running", self.running, kBuffer);
    visit("mode", self.mode);
  }
};
inline Tensor net_input() { return values({5, 2, 3}); }

inline Checkpoint checkpoint() {
  Checkpoint c{.epoch = 3, .step = 1234, .loss = 0.25, .user = io::MetaMap{{"note", "golden"}}};
  c.model.add("weight", values({6, 4}));
  c.optimizer.add("weight.exp_avg", values({6, 4}));
  c.optimizer.add("step", full({}, 1234, DType::i64));
  c.loader.add("position", full({}, 17, DType::i64));
  c.random.add("default", tensor<uint64_t>({42, 7}));
  c.schedule.add("lr", full({}, 0.001, DType::f64));
  c.history.add("loss", values({3}, DType::f64));
  return c;
}

}  // namespace varve::test::golden
