// Every crash of every scenario leaves the old file or the new one; and every mistake a saver could make is
// noticed.
#include <doctest/doctest.h>

#include "mutants.h"
#include "scenarios.h"

using namespace varve;
using namespace varve::test;

TEST_CASE("whatever a crash leaves of a save, it is the old file or the new one") {
  Findings found;
  const uint64_t seed = 1;
  explore(found, seed, 10);
  CAPTURE(found.first);
  CHECK(found.violations == 0);
  CHECK(scenarios().size() >= 40);
  CHECK(found.states.size() >= 20'000);
  MESSAGE(scenarios().size(), " scenarios, ", found.crashes, " crashes, ", found.states.size(),
          " distinct states");
}

TEST_CASE("each mistake of a saver is caught") {
  for (const Mutant& mutant : mutants()) {
    Findings found;
    explore(found, 1, 1, mutant.wrap);
    CAPTURE(mutant.name);
    CHECK(found.violations > 0);
  }
}

TEST_CASE("removing old generations before the new one is durable is caught") {
  Findings found;
  Trial trial("prune first", found, 1, 2);
  trial.start("a", payload(1, 1500));
  trial.rule = [](const Image& image) { return image.empty() ? "nothing is left" : ""; };
  trial.files().remove(0, "a");
  trial.save("b", payload(2, 1500));
  CHECK(found.violations > 0);
}
