// Checkpoints: every part comes back into its place.
#include <varve/io/checkpoint.h>

#include <doctest/doctest.h>

#include "tests/fixture.h"
#include "tests/io/temporary_folder.h"
#include "tests/message.h"

#include <varve/core/cpu/threads.h>
#include <varve/core/ops/views.h>
#include <varve/io/checkpoint_directory.h>
#include <varve/io/reader.h>
#include <varve/io/state.h>

using namespace varve;

namespace {

NamedTensors one(const char* name, double value) {
  NamedTensors out;
  out.add(name, full({2, 3}, value));
  return out;
}

void check_one(const NamedTensors& found, const char* name, double value) {
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == name);
  CHECK(test::identical(found[0].tensor, full({2, 3}, value)));
}

io::Container minimal() {
  return {"checkpoint", io::MetaMap{{"epoch", 1}, {"step", 2}, {"loss", 3.0}, {"user", {}}}, {}};
}

}  // namespace

TEST_CASE("all parts of a checkpoint come back") {
  const test::TemporaryFolder folder;
  Checkpoint c{3,
               1234,
               0.1,
               one("w", 1),
               one("w", 2),
               one("position", 3),
               one("seed:optimizer:", 4),
               one("warmup", 5),
               one("loss", 6),
               io::MetaMap{{"accuracy", 0.9}}};
  save_checkpoint(folder / "c", c);
  const Checkpoint found = load_checkpoint(folder / "c");
  CHECK(found.epoch == 3);
  CHECK(found.step == 1234);
  CHECK(found.loss == 0.1);
  check_one(found.model, "w", 1);
  check_one(found.optimizer, "w", 2);
  check_one(found.loader, "position", 3);
  check_one(found.random, "seed:optimizer:", 4);
  check_one(found.schedule, "warmup", 5);
  check_one(found.history, "loss", 6);
  CHECK(found.user == c.user);
  CHECK(found.saved_by.at("threads").as_int() == threads());
}

TEST_CASE("an empty checkpoint and a loss that is no number come back") {
  const test::TemporaryFolder folder;
  Checkpoint c;
  c.loss = std::nan("");
  save_checkpoint(folder / "c", c);
  const Checkpoint found = load_checkpoint(folder / "c");
  CHECK(std::isnan(found.loss));
  CHECK(found.model.empty());
  CHECK(found.user.is_null());
}

TEST_CASE("tensors shared between parts are stored once") {
  const test::TemporaryFolder folder;
  Checkpoint c;
  c.model = one("w", 1);
  c.optimizer = c.model;
  save_checkpoint(folder / "c", c);
  const Checkpoint found = load_checkpoint(folder / "c");
  CHECK(found.model[0].tensor.value().storage == found.optimizer[0].tensor.value().storage);
}

TEST_CASE("files that are no checkpoint, or lack a field, are refused") {
  const test::TemporaryFolder folder;
  save(folder / "s", one("w", 1));
  CHECK_THROWS_WITH_AS(load_checkpoint(folder / "s"), doctest::Contains("'state_dict'"), FormatError);

  io::write(folder / "c", minimal());
  CHECK(load_checkpoint(folder / "c").step == 2);
  for (const char* field : {"epoch", "step", "loss", "user"}) {
    io::Container lacking = minimal();
    io::MetaMap fields = lacking.meta.as_map();
    std::erase_if(fields, [&](const auto& f) { return f.first == field; });
    lacking.meta = fields;
    io::write(folder / "c", lacking);
    CHECK_THROWS_WITH_AS(load_checkpoint(folder / "c"), doctest::Contains(field), FormatError);
  }
  io::Container stray = minimal();
  stray.tensors = one("w", 1);
  io::write(folder / "c", stray);
  CHECK_THROWS_WITH_AS(load_checkpoint(folder / "c"), doctest::Contains("'w' belongs to no part"),
                       FormatError);
}

TEST_CASE("one state has one fingerprint, whoever saves it, and the file says who did") {
  const test::TemporaryFolder folder;
  Checkpoint c;
  c.model = one("w", 1);
  const int before = threads();
  std::vector<io::Fingerprint> prints;
  for (const int count : {1, 2}) {
    set_threads(count);
    save_checkpoint(folder / "c", c);
    prints.push_back(io::Reader(folder / "c").fingerprint());
    CHECK(load_checkpoint(folder / "c").saved_by.at("threads").as_int() == count);
  }
  set_threads(before);
  CHECK(prints[0] == prints[1]);
  CheckpointDirectory(folder / "d").save(c);
  CHECK(io::Reader(folder / "d/checkpoint-000000000000.varve").fingerprint() == prints[0]);
  io::Container file = io::read(folder / "c");
  file.sections[0].bytes.pop_back();
  io::write(folder / "c", file);
  CHECK_THROWS_AS(load_checkpoint(folder / "c"), FormatError);
}

TEST_CASE("a checkpoint's parts are loaded together or not at all") {
  const NamedTensors model = one("w", 0), optimizer = one("m", 0), random = one("default", 0);
  const auto load = [&](const NamedTensors& m, const NamedTensors& o, const NamedTensors& r) {
    Checkpoint saved;
    saved.model = m, saved.optimizer = o, saved.random = r;
    load_parts(saved, {{"model", [&] { return stage_load(model, m); }},
                       {"optimizer", [&] { return stage_load(optimizer, o); }},
                       {"random", [&] { return stage_load(random, r); }}});
  };
  const std::string said = message_of([&] { load(one("w", 1), one("v", 1), one("other", 1)); });
  CHECK(contains(said, "nothing of it was loaded\noptimizer: "));
  CHECK(contains(said, "missing (1): m"));
  CHECK(contains(said, "\nrandom: "));
  CHECK(!contains(said, "model: "));
  check_one(model, "w", 0);
  Checkpoint more;
  more.schedule = more.history = one("x", 1);
  CHECK(contains(message_of([&] { load_parts(more, {}); }), "\nschedule: its 1 tensors have no place here"));
  Checkpoint with_history;
  with_history.history = one("loss", 1);
  load_parts(with_history, {});
  CHECK(contains(message_of([&] {
                   load_parts({}, {{"modell", [] { return StagedLoad{}; }}});
                 }),
                 "\nmodell: is no part of a checkpoint"));
  const Tensor wide = expand(zeros({2}), {3, 2});
  const auto broadcast = [&] {
    Checkpoint saved;
    saved.model = one("w", 5), saved.optimizer = {{"m", zeros({3, 2})}};
    load_parts(saved, {{"model", [&] { return stage_load(model, saved.model); }},
                       {"optimizer", [&] {
                          return stage_load({{"m", wide}}, saved.optimizer);
                        }}});
  };
  CHECK(contains(message_of(broadcast), "'m' is broadcast"));
  check_one(model, "w", 0);
  load(one("w", 1), one("m", 2), one("default", 3));
  check_one(model, "w", 1);
  check_one(optimizer, "m", 2);
  check_one(random, "default", 3);
}
