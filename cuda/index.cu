// Gather, and the check of indices: before anything is written, or by the kernels themselves while work is
// recorded.
#include <varve/core/axes.h>
#include <varve/cuda/capture.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/indices.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

using Place = unsigned long long;  // what atomicMin takes
constexpr Place kNone = ~Place{0};

// The first place of an index out of range.
__global__ void __launch_bounds__(kThreads)
    find_bad(const __grid_constant__ Space index, IndexRange range, Place* first) {
  take_turn();
  for_each_index(index.total, [&](int64_t i) {
    int64_t at[1];
    locate(index, i, at);
    if (!range.holds(element<int64_t>(index.operand[0], at[0]))) atomicMin(first, static_cast<Place>(i));
  });
}

}  // namespace

int64_t* check_indices(Context& on, const View& index, const IndexRange& range) {
  if (Capture* const capture = on.capture()) return capture->verdicts().place(range);
  const View distinct = without_broadcast(index);
  const Space space(distinct.shape, Views(&distinct, 1), {});
  const Workspace verdict(on, sizeof(Place));
  VARVE_CUDA_CHECK(cudaMemsetAsync(verdict.data(), 0xff, sizeof(Place), on.queue()));
  start(on, space.total, find_bad, space, range, verdict.as<Place>());
  Place first = kNone;
  on.download(verdict.data(), &first, sizeof first);
  if (first == kNone) return nullptr;
  int64_t found = 0;
  on.download(index.as<const int64_t>() + space.offset(0, static_cast<int64_t>(first)), &found, sizeof found);
  range.refuse(found);
}

namespace {

// Operands: the input at the beginning of its axis, the index, the output.
template <class Bits>
__global__ void __launch_bounds__(kThreads)
    gather(const __grid_constant__ Space space, IndexRange range, int64_t step, int64_t* verdict) {
  take_turn();
  for_each_index(space.total, [&](int64_t i) {
    int64_t at[3];
    locate(space, i, at);
    const int64_t place = place_of(element<int64_t>(space.operand[1], at[1]), range, verdict);
    if (place >= 0)
      element<Bits>(space.operand[2], at[2]) = element<Bits>(space.operand[0], at[0] + place * step);
  });
}

}  // namespace

void drive_gather(Context& on, const View& in, const View& index, int axis, const View& out) {
  if (out.numel() == 0) return;
  const IndexRange range{"gather", in.shape[axis]};
  int64_t* const verdict = check_indices(on, index, range);
  const View views[] = {pinned(in, axis, out.shape), index, out};
  Space space(out.shape, Views(views, 3), {});
  const auto bytes = static_cast<int64_t>(size_of(in.dtype)), step = in.strides[axis] * bytes;
  const bool wide = step % Space::kWide == 0 && space.widen(size_of(in.dtype), 0b010);
  with_bits(wide ? Space::kWide : size_of(in.dtype), [&]<class Bits>() {
    start(on, space.total, gather<Bits>, space, range, step / static_cast<int64_t>(sizeof(Bits)), verdict);
  });
}

}  // namespace varve::cuda
