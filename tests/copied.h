// copied: the same names, and tensors with memory of their own and no part in the record.
#pragma once

#include <varve/core/named_tensors.h>
#include <varve/core/ops/copy.h>

namespace varve::test {

inline NamedTensors copied(const NamedTensors& state) {
  NamedTensors out;
  for (const NamedTensor& t : state) out.add(t.name, clone(t.tensor.detach()));
  return out;
}

}  // namespace varve::test
