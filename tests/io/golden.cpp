// Golden files: written once by the version they are named after (tests/io/golden/make.cpp), never again, and
// read by every later one. A test that fails here says that files people have can no longer be read.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include <varve/core/ops/reduce.h>
#include <varve/io/state.h>

#include "tests/fixture.h"
#include "tests/io/golden/contents.h"
#include "tests/io/same.h"

using namespace varve;
using namespace varve::test;

namespace {

std::string path_of(std::string_view name) {
  return fmt::format("{}/golden/v1/{}.varve", VARVE_TEST_DATA, name);
}

std::string fingerprint_of(std::string_view name) {
  return to_string(io::Reader(path_of(name)).fingerprint());
}

bool share(const Tensor* a, const Tensor* b) { return a->value().storage == b->value().storage; }

}  // namespace

TEST_CASE("version 1: tensors of every kind, with every codec") {
  for (const io::Codec codec : kAllCodecs) {
    CAPTURE(name_of(codec));
    const std::string path = path_of(fmt::format("tensors_{}", name_of(codec)));
    io::Container expected = golden::tensors();
    if (codec == io::Codec::none)
      std::erase_if(expected.tensors, [](const NamedTensor& t) { return t.name == "two chunks"; });
    io::Reader(path).verify();
    for (const io::Container& found : {io::read(path), io::Reader(io::map_file(path)).map()}) {
      CHECK(found.kind == expected.kind);
      CHECK(found.meta == expected.meta);
      CHECK(found.sections == expected.sections);
      check_same(found.tensors, expected.tensors);
      const Tensor* base = found.tensors.find("base");
      CHECK(share(base, found.tensors.find("tied")));
      CHECK(share(base, found.tensors.find("row")));
      REQUIRE(found.carried.size() == expected.carried.size());
      for (size_t i = 0; i < found.carried.size(); ++i) {
        const io::Carried &a = found.carried[i], &b = expected.carried[i];
        CHECK(a.name == b.name);
        CHECK(a.element == b.element);
        CHECK(a.shape == b.shape);
        CHECK(std::equal(a.bytes->data(), a.bytes->data() + a.bytes->bytes(), b.bytes->data()));
      }
    }
  }
}

TEST_CASE("version 1: names of contents") {
  CHECK(fingerprint_of("tensors_none") == "792aacf5e1b2e9375630920eef669733");
  CHECK(fingerprint_of("tensors_zlib") == "65e9ff0fe6a55c96530760aecba00cd3");
  CHECK(fingerprint_of("tensors_zstd") == "65e9ff0fe6a55c96530760aecba00cd3");
  CHECK(fingerprint_of("model") == "9b9833c11ec3d468c836ad3397a42f51");
  CHECK(fingerprint_of("ops") == "33bea13914b8274120275d0ebf42b115");
  CHECK(fingerprint_of("checkpoint") == "c6b163473c79c17b002a88ff2c10fac6");
}

TEST_CASE("version 1: a whole model predicts what it predicted, and trains") {
  const Model model = load_model(path_of("model"));
  eval(model);
  check_same({{"0", model(golden::net_input())}}, io::read(path_of("model_results")).tensors);
  train(model);
  const NamedTensors state = state_dict(model);
  CHECK(share(state.find("weight"), state.find("alias")));
  const Tensor before = clone(*state.find("running"));
  sum(model(golden::net_input())).backward();
  CHECK(named_parameters(model)[0].tensor.grad().defined());
  CHECK(!identical(before, *state.find("running")));
}

TEST_CASE("version 1: every op gives what it gave") {
  const Model model = load_model(path_of("ops"));
  eval(model);
  const Tensors found = model(Tensors{golden::values({2})});
  const NamedTensors expected = io::read(path_of("ops_results")).tensors;
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("result ", i);
    if (is_floating(found[i].dtype()))
      CHECK(distance(found[i], expected[i].tensor) <= 1e-6);
    else
      CHECK(identical(found[i], expected[i].tensor));
  }
}

TEST_CASE("version 1: a checkpoint") {
  for (const char* name : {"checkpoint", "checkpoint_2"}) {
    const Checkpoint found = load_checkpoint(path_of(name)), expected = golden::checkpoint();
    CHECK(found.epoch == expected.epoch);
    CHECK(found.step == expected.step);
    CHECK(found.loss == expected.loss);
    CHECK(found.user == expected.user);
    check_same(found.model, expected.model);
    check_same(found.optimizer, expected.optimizer);
    check_same(found.loader, expected.loader);
    check_same(found.random, expected.random);
    check_same(found.schedule, expected.schedule);
    check_same(found.history, expected.history);
  }
  CHECK(load_checkpoint(path_of("checkpoint")).saved_by.is_null());  // it is in the meta, and passed over
  CHECK(load_checkpoint(path_of("checkpoint_2")).saved_by.at("varve").as_string() == "0.1.0");
}

TEST_CASE("version 1: views") {
  const NamedTensors found = load(path_of("views"));
  check_same(found, golden::views());
  CHECK(share(found.find("bytes"), found.find("numbers")));
  CHECK(share(found.find("spread"), found.find("spread too")));
  CHECK_FALSE(share(found.find("left"), found.find("right")));
  CHECK(fingerprint_of("views") == "ddb08e53bf54e62d17ffff991817c770");
}
