// snapshot: tensors as they are now, in memory of their own, sharing it as they do.
#pragma once

#include <varve/core/named_tensors.h>

namespace varve::io {

// What several tensors share is copied once, and what none shows is zeros between strided ones.
VARVE_API NamedTensors snapshot(const NamedTensors& tensors);

}  // namespace varve::io
