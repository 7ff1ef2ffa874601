# What the library is made of, and which headers are its API: every source of these folders, and every header that is
# not listed as internal.
set(varve_folders core core/ops core/cpu nn optim io io/foreign data cuda)
set(varve_internal
  core/arena.h core/axes.h core/converted.h core/group_builder.h core/index_range.h core/plan_builder.h core/pointwise_kernels.h
  core/schedule.h core/ops/dense_copies.h core/ops/elementwise.h core/ops/list.h
  core/cpu/background.h core/cpu/cgroup.h core/cpu/dots.h core/cpu/drivers.h core/cpu/factors.h core/cpu/flush.h core/cpu/gemm.h core/cpu/kernels.h
  core/cpu/lanes.h core/cpu/large_blocks.h core/cpu/moves.h core/cpu/packed.h core/cpu/pieces.h core/cpu/processor.h core/cpu/row_forms.h
  core/cpu/space.h core/cpu/squares.h core/cpu/tiles.h core/cpu/workspace.h data/prefetch.h
  io/attribute.h io/blocks.h io/bytes.h io/chunk_coder.h io/extent.h io/ferries.h io/gzip.h io/index.h io/layout.h io/loading.h io/snapshot.h
  io/scratch.h io/sharing.h io/spares.h io/stop_gradient.h io/trace_sizes.h)

set(varve_sources)
set(varve_headers varve.h)
foreach(folder ${varve_folders})
  file(GLOB sources RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS ${folder}/*.cpp)
  file(GLOB headers RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS ${folder}/*.h)
  list(APPEND varve_sources ${sources})
  list(APPEND varve_headers ${headers})
endforeach()
# Of cuda/ either the backend or its absence is built; all that others see of it is one function.
if(VARVE_CUDA)
  file(GLOB sources RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS cuda/*.cu)
  list(APPEND varve_sources ${sources})
  list(REMOVE_ITEM varve_sources cuda/absent.cpp)
else()
  list(FILTER varve_sources EXCLUDE REGEX "^cuda/")
  list(APPEND varve_sources cuda/absent.cpp)
endif()
list(FILTER varve_headers EXCLUDE REGEX "^cuda/")
list(REMOVE_ITEM varve_sources ${varve_kernel_sources} core/cpu/gemm_bf16.cpp core/cpu/gemm_amx.cpp)
list(REMOVE_ITEM varve_headers ${varve_internal})
