// Ops as data: attributes, the registry, versions, ops with two outputs, ops in place, and ops of a user's
// own.
#include <doctest/doctest.h>

#include <varve/core/graph.h>

#include <varve/core/record.h>

#include "tests/allocations.h"
#include "tests/core/elements.h"
#include "tests/core/samples.h"
#include "tests/core/user_op.h"
#include "tests/message.h"

using namespace varve;
using namespace varve::test;

namespace {

// y = scale x + shift, with a kernel of its own. Version 1 had no shift, and called scale "factor".
struct ScaleShift {
  static constexpr OpName name{"test.scale_shift", 2};
  double scale = 1, shift = 0;
  std::string note;
  static void fields(auto& self, auto&& field) {
    field("scale", self.scale);
    field("shift", self.shift);
    field("note", self.note);
  }
  Specs infer(const Specs& in) const {
    if (in.size() != 1 || in[0].dtype != DType::f64)
      throw DTypeError("test.scale_shift: required is one f64");
    return in;
  }
  void run(Backend&, Views in, Views out, const View&) const {
    each_index(in[0].shape,
               [&](const Dims& at) { write(out[0], at, scale * read<double>(in[0], at) + shift); });
  }
  Tensors vjp(const Saved&, const Tensors& dy) const { return {dy[0] * scale}; }
  static Attributes upgrade(int version, Attributes a) {
    if (version == 1)
      for (auto& [key, value] : a)
        if (key == "factor") key = "scale";
    a.emplace_back("shift", 0.0);
    a.emplace_back("note", std::string("upgraded"));
    return a;
  }
};

// The smallest and the largest of a row of numbers: two outputs, and a vjp that reads one of them.
struct Extent {
  static constexpr OpName name{"test.extent", 1};
  Specs infer(const Specs& in) const { return {{in.at(0).dtype, {}}, {in.at(0).dtype, {}}}; }
  void run(Backend& on, Views in, Views out, const View&) const {
    on.reduce(ReduceFn::min, in[0], contiguous_view(out[0].data, {out[0].dtype, {1}}));
    on.reduce(ReduceFn::max, in[0], contiguous_view(out[1].data, {out[1].dtype, {1}}));
  }
  Keep keep() const { return {1, 3}; }
  Tensors vjp(const Saved& s, const Tensors& dy) const {
    const Tensor x = s.input(0);
    return {dy[0] * cast(equal(x, s.output(0)), x.dtype()) + dy[1] * cast(equal(x, s.output(1)), x.dtype())};
  }
};

// x becomes 2 x, in place.
struct Double {
  static constexpr OpName name{"test.double", 1};
  static constexpr uint32_t updates = 1;
  Specs infer(const Specs&) const { return {}; }
  void run(Backend& on, Views in, Views, const View&) const {
    const View twice[] = {in[0], in[0]};
    on.pointwise(pointwise::id_of<pointwise::Add>, {}, twice, in);
  }
};

}  // namespace

TEST_CASE("every op of the list comes back from its name and attributes as it was") {
  for_each_op(DType::f32, [](const std::vector<AnySample>& samples) {
    for (const AnySample& sample : samples) {
      const AnyOp& op = *sample.op;
      const OpPtr made = make_op(op.name().name, op.name().version, op.attributes());
      CAPTURE(to_string(op));
      CHECK(to_string(*made) == to_string(op));
      CHECK(made->attributes() == op.attributes());
      CHECK(made->updates() == op.updates());
      CHECK(made->differentiable() == op.differentiable());
      Specs specs;
      for (const Tensor& t : sample.in) specs.push_back(t.spec());
      CHECK(made->infer(specs) == op.infer(specs));
    }
  });
}

TEST_CASE("names of ops are unique") {
  std::vector<std::string_view> names;
  for (const OpSamples& op : all_samples()) names.push_back(op.name);
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("an op asked for the wrong number of inputs refuses") {
  for_each_op(DType::f32, [](const std::vector<AnySample>& samples) {
    if (samples[0].op->name().name == "cat") return;  // takes any number
    Specs specs;
    for (const Tensor& t : samples[0].in) specs.push_back(t.spec());
    const std::string required = std::to_string(specs.size()) + " required";
    specs.push_back({DType::f32, {}});
    const std::string message = message_of<ShapeError>([&] { samples[0].op->infer(specs); });
    CAPTURE(samples[0].op->name().name);
    CHECK(contains(message, std::to_string(specs.size()) + " inputs found, " + required));
  });
}

TEST_CASE("names not known, newer versions, and attributes that do not fit are errors") {
  CHECK_THROWS_AS(make_op("no such op", 1, {}), Error);
  CHECK_THROWS_AS(make_op("relu", 2, {}), Error);
  CHECK_THROWS_AS(make_op("relu", 0, {}), Error);
  CHECK_THROWS_AS(make_op("matmul", 1, {{"transpose_a", true}}), Error);
  CHECK_THROWS_AS(make_op("matmul", 1, {{"transpose_a", true}, {"transpose_b", int64_t{1}}}), Error);
  CHECK_THROWS_AS(make_op("cast", 1, {{"dtype", std::string("f31")}}), DTypeError);
}

TEST_CASE("a user's op runs, is differentiated, printed, traced, registered and upgraded") {
  Tensor x = tensor<double>({1, 2});
  x.set_requires_grad();
  const Tensor y = apply_one(ScaleShift{3, 1, "mine"}, {x});
  CHECK(to_string(y.detach()) == to_string(tensor<double>({4, 7})));
  sum(y).backward();
  CHECK(x.grad()[0].item() == 3);
  CHECK_THROWS_AS(apply_one(ScaleShift{}, {ones({1})}), DTypeError);

  CHECK_THROWS_AS(make_op("test.scale_shift", 2, {}), Error);
  register_op<ScaleShift>();
  register_op<ScaleShift>();  // again is no harm
  const OpOf op(ScaleShift{3, 1, "mine"});
  CHECK(to_string(*make_op("test.scale_shift", 2, op.attributes())) == to_string(op));
  const OpPtr old = make_op("test.scale_shift", 1, {{"factor", 5.0}});
  CHECK(to_string(*old) == "test.scale_shift(scale=5, shift=0, note=upgraded)");
  CHECK_THROWS_AS(register_op("relu", op_maker<ScaleShift>()), Error);

  const Graph g = trace(
      [](const Tensors& in) {
        return Tensors{apply_one(ScaleShift{2, 0, ""}, {in[0]})};
      },
      {x.detach()});
  CHECK(g.run({tensor<double>({10, 20})})[0][1].item() == 40);
}

TEST_CASE("the op that the documents show takes views of every layout") {
  const Tensor x = cast(reshape(arange(6), {2, 3}), DType::f32);
  for (const test::Layout layout : test::kLayouts) {
    Tensor in = test::laid_out(x, layout);
    CHECK(to_string(apply_one(Triple{}, {in})) == to_string(in * 3.0));
    in.set_requires_grad();
    sum(apply_one(Triple{}, {in})).backward();
    CHECK(in.grad()[1][2].item() == 3);
  }
  CHECK_THROWS_AS(apply_one(Triple{}, {ones({4}, DType::f64)}), DTypeError);
}

TEST_CASE("a user's op may have two outputs") {
  Tensor x = tensor<double>({3, -1, 7});
  x.set_requires_grad();
  const Tensors y = apply_op(Extent{}, {x});
  CHECK(y[0].item() == -1);
  CHECK(y[1].item() == 7);
  (y[1] * 2.0 - y[0]).backward();
  CHECK(to_string(x.grad()) == to_string(tensor<double>({0, -1, 2})));
}

TEST_CASE("a derivative gets zeros for an output that is not used") {
  Tensor x = tensor<double>({3, -1, 7});
  x.set_requires_grad();
  for (const size_t used : {0, 1}) {
    x.zero_grad();
    (apply_op(Extent{}, {x})[used] * 2.0).backward();
    CHECK(to_string(x.grad()) == to_string(used ? tensor<double>({0, 0, 2}) : tensor<double>({0, 2, 0})));
  }
}

TEST_CASE("a user's op may write in place") {
  const Tensor x = tensor<float>({1, 2});
  const uint64_t version = x.value().storage->version();
  CHECK(apply_op(Double{}, {x}).empty());
  CHECK(x[1].item() == 4);
  CHECK(x.value().storage->version() == version + 1);
  Tensor p = clone(x);
  p.set_requires_grad();
  CHECK_THROWS_AS(apply_op(Double{}, {p}), Error);
  CHECK_THROWS_AS(apply_op(Double{}, {expand(ones({1}), {3})}), Error);
}

TEST_CASE("an op asks for the memory of its result and of its record, and for no more") {
  const Tensor x = full({3}, 1.5).set_requires_grad(), y = full({3}, 2.5).set_requires_grad();
  const auto asked = [&] {
    const int64_t before = test::allocations.count;
    const Tensor z = x * y;
    return test::allocations.count - before;
  };
  asked();
  CHECK(asked() == 4);  // the bytes, their storage, the value that shows them, and the node
  CHECK(no_grad(asked) == 3);
}
