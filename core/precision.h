// How exact products of f32 are on this thread.
#pragma once

#include <varve/core/export.h>

namespace varve {

// Whether products of f32 may take their factors in TF32; not unless an AllowTf32 says so.
VARVE_API bool tf32_allowed();

// While one lives, products of f32 on this thread may round their factors to TF32 (10 bits of mantissa; sums
// stay f32), which GPUs multiply faster; small ones, and all on the CPU, stay exact. A compiled function has
// a plan for either way and an Inference keeps that of its trace, so none may begin inside a traced function.
class VARVE_API AllowTf32 {
 public:
  explicit AllowTf32(bool allowed = true);
  ~AllowTf32();
  AllowTf32(const AllowTf32&) = delete;
  AllowTf32& operator=(const AllowTf32&) = delete;

 private:
  bool previous_;
};

}  // namespace varve
