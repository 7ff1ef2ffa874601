// Functions along the last axis, and random draws.
#include <algorithm>
#include <cmath>

#include <varve/core/axes.h>
#include <varve/core/cpu/drivers.h>
#include <varve/core/cpu/level.h>
#include <varve/core/cpu/space.h>
#include <varve/core/cpu/threads.h>

namespace varve::cpu {
namespace {

// A number of 24 bits may round up to 1 in a type of fewer: keep as many as that has.
void keep_below_one(DType dtype, float* u, int64_t n) {
  const float steps = dtype == DType::f16 ? 0x1p11f : 0x1p8f;
  for (int64_t i = 0; i < n; ++i) u[i] = std::floor(u[i] * steps) / steps;
}

}  // namespace

void drive_rows(RowFn fn, Views in, Views out) {
  const int64_t n = in[0].shape.back();
  if (has_targets(fn)) check_indices(in[1], {"cross_entropy", n, false});
  View starts[RowBlock::kMost];
  std::transform(in.begin(), in.end(), starts, row_starts);
  std::transform(out.begin(), out.end(), starts + in.size(), row_starts);
  const Space space(starts[0].shape, Views(starts, in.size()), Views(starts + in.size(), out.size()));
  if (space.total() == 0 || n == 0) return;
  const RowLoop loop = kernels().rows[static_cast<size_t>(fn)][static_cast<size_t>(compute_of(in[0].dtype))];
  const int64_t group = std::max<int64_t>(1, kTaskWork / n);
  parallel((space.total() + group - 1) / group, [&](int64_t task) {
    const int64_t first = task * group, rows = std::min(group, space.total() - first);
    for_each_run(space, space.operand(0), first, rows, [&](int64_t, int64_t done, int64_t count) {
      RowBlock block{count, n, {}, {}};
      for (int i = 0; i < space.operands(); ++i) {
        const Operand& o = space.operand(i);
        block.data[i] = o.at(space.offset(o, first + done));
        block.step[i] = space.inner_stride(o);
      }
      loop(block);
    });
  });
}

void drive_random(RandomFn fn, double p, const View& state, const View& out) {
  const Kernels& k = kernels();
  const Compute c = compute_of(out.dtype);
  const bool narrow = fn == RandomFn::uniform && is_half(out.dtype);
  const RandomLoop loop = k.random[static_cast<size_t>(fn)][c == Compute::f64];
  uint64_t* words = state.as<uint64_t>();
  const int64_t step = state.strides[0];  // a file may show a state backwards
  const uint64_t seed = words[0], counter = words[step];
  const Space space(out.shape, Views(&out, 1), {});
  const Operand& to = space.operand(0);
  static_assert(kTaskWork % kChunk == 0 && kChunk % kDrawAlign == 0);
  parallel((space.total() + kTaskWork - 1) / kTaskWork, [&](int64_t task) {
    const int64_t end = std::min(space.total(), (task + 1) * kTaskWork);
    for (int64_t first = task * kTaskWork; first < end; first += kChunk) {
      alignas(64) std::byte stage[kChunk * 8];
      const int64_t n = std::min(kChunk, end - first);
      void* y = target(space, to, c, first, n, stage);
      loop(p, seed, counter, first, y, n);
      if (narrow) keep_below_one(out.dtype, static_cast<float*>(y), n);
      stored(k, space, to, c, first, n, y);
    }
  });
  const auto blocks = static_cast<uint64_t>((space.total() + kDrawAlign - 1) / kDrawAlign);
  words[step] = counter + blocks * (c == Compute::f64 ? 2 : 1);
}

}  // namespace varve::cpu
