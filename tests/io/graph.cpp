// Graphs as data: they come back as they were, and no Meta, however wrong, is more than an Error.
#include <varve/io/graph.h>

#include <doctest/doctest.h>

#include <limits>

#include <varve/core/ops/make.h>
#include <varve/core/ops/matmul.h>
#include <varve/core/ops/pointwise.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/rows.h>
#include <varve/core/ops/views.h>
#include <varve/core/record.h>
#include <varve/io/model.h>
#include <varve/io/trace_sizes.h>

#include "tests/message.h"

using namespace varve;
using namespace varve::io;

namespace {

// A user's ops: x itself.
struct Known {
  static constexpr OpName name{"test.known", 2};
  int64_t size = 0;
  std::string note = "a note";
  static void fields(auto& self, auto&& field) {
    field("size", self.size);
    field("note", self.note);
  }
  Specs infer(const Specs& in) const { return {in.at(0)}; }
  std::optional<View> alias(const View& in) const { return in; }
  Tensors vjp(const Saved&, const Tensors& dy) const { return {dy[0]}; }
};
struct Unheard {
  static constexpr OpName name{"test.unheard", 1};
  double factor = 2.5;
  Shape shape{1, 2};
  static void fields(auto& self, auto&& field) {
    field("factor", self.factor);
    field("shape", self.shape);
  }
  Specs infer(const Specs& in) const { return {in.at(0)}; }
  std::optional<View> alias(const View& in) const { return in; }
};

struct Small {  // of many kinds of ops and attributes
  Tensor weight = randn({6, 4}).set_requires_grad();
  Tensor running = zeros({4});
  Mode mode;
  Tensor operator()(const Tensor& x) const {
    const Tensor h = matmul(reshape(x, {x.size(0), 6}), weight);
    if (mode.training()) {
      no_grad([&] { running.assign(select(h, 0, 0)); });
      return softmax(dropout(h, 0.5));
    }
    return softmax(h - running) + full({x.size(0), 1}, 0.5);
  }
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("running", self.running, kBuffer);
    visit("mode", self.mode);
  }
};

template <class T>
struct One {  // an op of a user's
  Tensor weight = randn({3}).set_requires_grad();
  Tensor operator()(const Tensor& x) const { return apply_one(T{}, {x * weight}); }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

// Calls f(meta with one value changed) for every value in it and every change: dropped, or of another kind or
// size.
class Damage {
 public:
  Damage(Meta meta, std::function<void(const Meta&)> f) : root_(std::move(meta)), f_(std::move(f)) {}
  void run() {
    visit(root_, [this](Meta changed) { f_(changed); });
  }

 private:
  using Rebuild = std::function<void(Meta)>;

  void visit(const Meta& at, const Rebuild& rebuild) {
    const MetaList others{Meta(),
                          true,
                          -1,
                          0,
                          3,
                          int64_t{1} << 40,
                          std::numeric_limits<int64_t>::max(),
                          -0.5,
                          1e300,
                          "x",
                          "",
                          MetaList{},
                          MetaList{Meta(1), Meta(-1), Meta(int64_t{1} << 62)},
                          MetaMap{}};
    for (const Meta& other : others) rebuild(other);
    if (const auto* list = std::get_if<MetaList>(&at.value()))
      for (size_t i = 0; i < list->size(); ++i) {
        MetaList fewer = *list, more = *list;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
        more.push_back((*list)[i]);
        rebuild(fewer);
        rebuild(more);
        visit((*list)[i], [&](Meta changed) {
          MetaList copy = *list;
          copy[i] = std::move(changed);
          rebuild(std::move(copy));
        });
      }
    if (const auto* map = std::get_if<MetaMap>(&at.value()))
      for (size_t i = 0; i < map->size(); ++i) {
        MetaMap fewer = *map;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
        rebuild(fewer);
        visit((*map)[i].second, [&](Meta changed) {
          MetaMap copy = *map;
          copy[i].second = std::move(changed);
          rebuild(std::move(copy));
        });
      }
  }

  Meta root_;
  std::function<void(const Meta&)> f_;
};

}  // namespace

TEST_CASE("a graph comes back from its Meta as it was") {
  const Model model = trace_model(Small(), {zeros({4, 2, 3})});
  for (bool training : {true, false}) {
    const SizedGraph graph = model.graph(training);
    Specs captured;
    for (const Graph::Captured& c : graph.graph.captured) captured.push_back(c.tensor.spec());
    const Meta meta = to_meta(graph);
    SizedGraph again = graph_from(meta, captured);
    for (size_t i = 0; i < captured.size(); ++i)
      again.graph.captured[i].tensor = graph.graph.captured[i].tensor;
    CHECK(to_string(again.graph) == to_string(graph.graph));
    CHECK(to_string(again.at(9)) == to_string(graph.at(9)));
    CHECK(to_meta(again) == meta);
    CHECK(graph_from(decode(encode(meta)), captured).fits.size() == graph.fits.size());
  }
}

TEST_CASE("a number has one fit, a captured value one meaning") {
  const Model model = trace_model(Small(), {zeros({4, 2, 3})});
  SizedGraph graph = model.graph(true);
  Specs captured;
  for (const Graph::Captured& c : graph.graph.captured) captured.push_back(c.tensor.spec());
  REQUIRE(!graph.fits.empty());
  graph.fits.insert(graph.fits.begin(), graph.fits[0]);
  CHECK_THROWS_WITH_AS(graph_from(to_meta(graph), captured), doctest::Contains("two fits for one number"),
                       Error);

  Container container = model.container();
  Meta side = container.meta.at("eval");
  MetaList sources = side.at("captured").as_list();
  sources[0].set("constant", int64_t{0});
  side.set("captured", sources);
  container.meta.set("eval", side);
  CHECK_THROWS_WITH_AS(Model{container}, doctest::Contains("more than one thing"), Error);
}

TEST_CASE("a damaged Meta is refused or harmless, whatever value in it is dropped or replaced") {
  manual_seed(1);
  const Container good = trace_model(Small(), {zeros({4, 2, 3})}).container();
  const Tensor x = randn({3, 2, 3});
  size_t tried = 0, refused = 0;
  Damage(good.meta, [&](const Meta& meta) {
    ++tried;
    try {
      const Model model(Container{good.kind, meta, good.tensors});
      for (bool training : {true, false}) {
        to_string(model.graph(training).graph);
        train(model, training);
        model(x);
      }
      model.container();
    } catch (const Error&) {
      ++refused;
    }
  }).run();
  CHECK(tried > 4000);
  CHECK(refused > tried * 9 / 10);
}

TEST_CASE("a missing tensor, or a file of another kind, is an Error") {
  Container container = trace_model(Small(), {zeros({4, 2, 3})}).container();
  CHECK_THROWS_WITH_AS(Model(Container{"checkpoint", container.meta, container.tensors}),
                       doctest::Contains("'checkpoint'"), Error);
  Container more = container;
  more.meta.set("constants", -1);
  CHECK_THROWS_WITH_AS(Model{more}, doctest::Contains("-1 constants"), Error);
  more = container;
  more.tensors.add("stray", zeros({1}));
  CHECK_THROWS_WITH_AS(Model{more}, doctest::Contains("3 tensors found, of which 2"), Error);
  container.tensors.erase(container.tensors.begin());
  CHECK_THROWS_WITH_AS(Model{container}, doctest::Contains("'weight' is missing"), Error);
}

TEST_CASE("a value too large to hold is an Error") {
  const Meta meta =
      MetaMap{{"batch_axis", 0},
              {"inputs", MetaList{MetaMap{{"dtype", "f64"}, {"shape", MetaList{int64_t{1} << 61}}}}},
              {"calls", MetaList{}},
              {"outputs", MetaList{}},
              {"fits", MetaList{}}};
  CHECK_THROWS_WITH_AS(graph_from(meta, {}), doctest::Contains("too many elements"), ShapeError);
}

TEST_CASE("a user's op that is registered comes back and runs") {
  register_op<Known>();
  const One<Known> one;
  const Model model(trace_model(one, {zeros({4, 3})}).container());
  const Tensor x = randn({5, 3});
  Tensor expected = one(x), found = model(x);
  CHECK(to_string(found) == to_string(expected));
  CHECK(found.requires_grad());
}

TEST_CASE("an op that this program does not know can be read and saved, and refuses to run by its name") {
  const Container saved = trace_model(One<Unheard>(), {zeros({4, 3})}).container();
  const Model model(saved);
  const std::string text = to_string(model.graph(true).graph);
  CHECK(text.find("test.unheard(%2, factor=2.5, shape=[1, 2])") != std::string::npos);
  CHECK(model.container().meta == saved.meta);
  CHECK_THROWS_WITH_AS(model(zeros({4, 3})), doctest::Contains("'test.unheard' is not known"), Error);
  CHECK_THROWS_WITH_AS(model.graph(true).at(7), doctest::Contains("'test.unheard' is not known"), Error);
}

TEST_CASE("a run lets go of what it no longer needs") {
  const auto chain = [](const Tensors& in) {
    Tensor x = in[0];
    for (int i = 0; i < 20; ++i) x = tanh(x);
    return Tensors{x};
  };
  const SizedGraph graph = trace_sizes(chain, {zeros({3})});
  std::vector<std::weak_ptr<const Value>> made;
  size_t most = 0;
  const NoGrad guard;
  graph.run({zeros({3})}, {}, [&](size_t, const Tensors& results) {
    made.push_back(results[0].value_ptr());
    size_t alive = 0;
    for (const auto& value : made) alive += !value.expired();
    most = std::max(most, alive);
  });
  CHECK(made.size() == 20);
  CHECK(most <= 2);
}

TEST_CASE("of an op that this program does not know attributes may be anything, and fits anywhere") {
  Container saved = trace_model(One<Unheard>(), {zeros({4, 3})}).container();
  static constexpr int kUnheard = 1;  // its call
  const MetaMap attributes{{"many", MetaList(9, Meta(1))},
                           {"real", MetaList{0.5, 1.5}},
                           {"none", Meta()},
                           {"map", MetaMap{{"x", Bytes(2)}}}};
  Meta train = saved.meta.at("train"), graph = train.at("graph");
  MetaList calls = graph.at("calls").as_list();
  REQUIRE(calls.at(kUnheard).at("op").as_string() == "test.unheard");
  calls[kUnheard].set("attributes", attributes);
  graph.set("calls", calls);
  const auto fit = [](const char* attribute, int element) {
    return MetaMap{
        {"call", kUnheard}, {"attribute", attribute}, {"element", element}, {"base", 1.0}, {"slope", 0.5}};
  };
  const auto with_fits = [&](const MetaList& fits) {
    graph.set("fits", fits);
    train.set("graph", graph);
    saved.meta.set("train", train);
    return Model(saved);
  };
  const Model model = with_fits({fit("real", 1), fit("many", 8)});
  CHECK(model.container().meta == saved.meta);
  CHECK(contains(to_string(model.graph(true).graph),
                 "many=[1, 1, 1, 1, 1, 1, 1, 1, 1], real=[0.5, 1.5], none=null, map={"));
  CHECK_THROWS_WITH_AS(model(zeros({5, 3})), doctest::Contains("'test.unheard' is not known"), Error);
  CHECK_THROWS_WITH_AS(with_fits({fit("real", 1), fit("many", 8), fit("real", 1)}),
                       doctest::Contains("two fits for one number of 'real'"), Error);
}

TEST_CASE("an op of a newer version is kept as data too") {
  register_op<Known>();
  SizedGraph graph =
      trace_sizes([](const Tensors& in) { return Tensors{apply_one(Known{}, {in[0]})}; }, {zeros({3})});
  Meta meta = to_meta(graph), call = meta.at("calls").as_list()[0];
  call.set("version", 3);
  meta.set("calls", MetaList{call});
  const SizedGraph newer = graph_from(meta, {});
  CHECK(to_meta(newer) == meta);
  CHECK_THROWS_WITH_AS(newer.run({zeros({3})}, {}), doctest::Contains("version 3 found"), Error);
}
