// Every scenario; each does its saves on the trial it is given.
#pragma once

#include "trial.h"

namespace varve::test {

struct Scenario {
  std::string name;
  std::function<void(Trial&)> run;
};
std::vector<Scenario> scenarios();
void add_checkpoints(std::vector<Scenario>& out);
// Runs them all, until one finds a violation.
void explore(Findings& findings, uint64_t seed, int samples, const Trial::Wrap& wrap = {});

}  // namespace varve::test
