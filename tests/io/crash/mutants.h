// The mistakes a saver could make, each as what the disk would then see.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trial.h"

namespace varve::test {

struct Mutant {
  std::string name;
  Trial::Wrap wrap;
};
std::vector<Mutant> mutants();

}  // namespace varve::test
