// snapshot: tensors as they are now, in memory of their own, sharing it as they do.
#pragma once

#include <varve/core/named_tensors.h>

namespace varve::io {

// What several tensors share is copied once, and what none shows is zeros between strided ones. On a device
// they are copied once all that was asked of it before is done; this does not wait for it.
VARVE_API NamedTensors snapshot(const NamedTensors& tensors);

}  // namespace varve::io
