// Reductions. The reduced elements of an output are cut into segments by number alone. What a segment folds
// to is put in a workspace, and the same is done with that until one segment is left: one tree, whatever the
// grid.
#include <cstdlib>

#include <varve/core/ops/copy.h>
#include <varve/core/pointwise.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/elements.cuh>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

constexpr int64_t kSegment = 8192;  // elements of a row that a block folds
constexpr int64_t kColumn = 64;     // elements of a column that a thread folds
constexpr int kWarp = 32;

// Some of a space's axes.
struct Axis {
  int64_t size, in, out;  // strides in elements
};
struct AxisList {
  int rank = 0;
  int64_t total = 1;
  Axis axis[kMaxRank];

  void add(int64_t size, int64_t in, int64_t out) {
    axis[rank++] = {size, in, out};
    total *= size;
  }
  // Where element `index` lies, in the input and in the output.
  __device__ void locate(int64_t index, int64_t& in, int64_t& out) const {
    for (int i = rank - 1; i >= 0; --i) {
      int64_t here = index;
      if (i > 0) {
        if (total <= INT32_MAX) {
          const uint32_t next = static_cast<uint32_t>(index) / static_cast<uint32_t>(axis[i].size);
          here = index - int64_t{next} * axis[i].size;
          index = next;
        } else {
          const int64_t next = index / axis[i].size;
          here = index - next * axis[i].size;
          index = next;
        }
      }
      in += here * axis[i].in;
      out += here * axis[i].out;
    }
  }
};

struct Job {
  Operand in, out;
  AxisList kept, reduced;
  int64_t segment, segments;
};

template <ReduceFn kFn, class T>
struct Fold {
  static __device__ T identity() {
    using Limits = std::numeric_limits<T>;
    if constexpr (kFn == ReduceFn::sum) return T(0);
    if constexpr (kFn == ReduceFn::prod) return T(1);
    if constexpr (kFn == ReduceFn::max) return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    if constexpr (kFn == ReduceFn::min) return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  static __device__ T of(T a, T b) {
    if constexpr (kFn == ReduceFn::sum) return a + b;
    if constexpr (kFn == ReduceFn::prod) return a * b;
    if constexpr (kFn == ReduceFn::max) return pointwise::maximum(a, b);
    if constexpr (kFn == ReduceFn::min) return pointwise::minimum(a, b);
  }
};

// Four sums in turn hide the latency of one; `first`, first + step, ... before last.
template <ReduceFn kFn, class T>
__device__ T fold_steps(const Job& job, int64_t base, int64_t first, int64_t last, int64_t step) {
  constexpr int kTurns = 4;
  T part[kTurns];
#pragma unroll
  for (int t = 0; t < kTurns; ++t) part[t] = Fold<kFn, T>::identity();
  for (int64_t r = first; r < last; r += kTurns * step) {
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      const int64_t index = r + t * step;
      if (index >= last) continue;
      int64_t at = base, unused = 0;
      job.reduced.locate(index, at, unused);
      part[t] = Fold<kFn, T>::of(part[t], load<T>(job.in, at));
    }
  }
  return Fold<kFn, T>::of(Fold<kFn, T>::of(part[0], part[1]), Fold<kFn, T>::of(part[2], part[3]));
}

// A unit (a segment of an output) for each group of kGroup threads: a warp, or the block.
template <ReduceFn kFn, class T, int kGroup>
__global__ void __launch_bounds__(kThreads) reduce_rows(const __grid_constant__ Job job) {
  take_turn();
  __shared__ T parts[kThreads / kWarp];
  constexpr int kGroups = kThreads / kGroup;
  const int lane = threadIdx.x % kGroup;
  const int64_t units = job.kept.total * job.segments;
  for (int64_t block = blockIdx.x; block * kGroups < units; block += gridDim.x) {
    const int64_t unit = block * kGroups + threadIdx.x / kGroup;
    const bool some = unit < units;
    const int64_t segment = unit % job.segments, first = segment * job.segment;
    const int64_t last = min(job.reduced.total, first + job.segment);
    int64_t base = 0, to = segment * job.kept.total;  // segments are the outermost axis of the output
    T y = Fold<kFn, T>::identity();
    if (some) {
      job.kept.locate(unit / job.segments, base, to);
      y = fold_steps<kFn, T>(job, base, first + lane, last, kGroup);
    }
#pragma unroll
    for (int half = kWarp / 2; half > 0; half /= 2) y = Fold<kFn, T>::of(y, __shfl_down_sync(~0u, y, half));
    if constexpr (kGroup > kWarp) {
      if (lane % kWarp == 0) parts[lane / kWarp] = y;
      __syncthreads();
      if (lane == 0)
        for (int w = 1; w < kThreads / kWarp; ++w) y = Fold<kFn, T>::of(y, parts[w]);
      __syncthreads();
    }
    if (some && lane == 0) store<T>(job.out, to, y);
  }
}

// A unit for each thread, neighbours side by side: for sums over outer axes.
template <ReduceFn kFn, class T>
__global__ void __launch_bounds__(kThreads) reduce_columns(const __grid_constant__ Job job) {
  take_turn();
  for_each_index(job.kept.total * job.segments, [&](int64_t unit) {
    const int64_t segment = unit / job.kept.total, first = segment * job.segment;
    int64_t base = 0, to = segment * job.kept.total;
    job.kept.locate(unit % job.kept.total, base, to);
    const int64_t last = min(job.reduced.total, first + job.segment);
    store<T>(job.out, to, fold_steps<kFn, T>(job, base, first, last, 1));
  });
}

template <ReduceFn kFn, class T>
void start_reduction(Context& on, const Job& job, bool columns) {
  const int64_t units = job.kept.total * job.segments;
  if (columns)
    start(on, units, reduce_columns<kFn, T>, job);
  else if (std::min(job.segment, job.reduced.total) <= 1024)
    start(on, units * kWarp, reduce_rows<kFn, T, kWarp>, job);
  else
    start(on, units * kThreads, reduce_rows<kFn, T, kThreads>, job);
}

template <class F>
void with_function(ReduceFn fn, F&& f) {
  switch (fn) {
    case ReduceFn::sum:
      return f.template operator()<ReduceFn::sum>();
    case ReduceFn::prod:
      return f.template operator()<ReduceFn::prod>();
    case ReduceFn::max:
      return f.template operator()<ReduceFn::max>();
    case ReduceFn::min:
      return f.template operator()<ReduceFn::min>();
  }
}

// What is kept and what is reduced, in how many segments; `columns`: a thread for each output, because
// neighbours lie closer to each other than what they sum.
Job job_of(const View& in, const View& out, bool& columns) {
  const View spread = expanded(out, in.shape);
  const Space space(in.shape, Views(&in, 1), Views(&spread, 1));
  Job job{space.operand[0], space.operand[1], {}, {}, 0, 1};
  for (int i = 0; i < space.rank; ++i) {
    const int64_t from = job.in.strides[i], to = job.out.strides[i];
    (to == 0 ? job.reduced : job.kept).add(space.size[i], from, to);
  }
  const auto closeness = [](const AxisList& list) {
    return list.rank ? std::abs(list.axis[list.rank - 1].in) : INT64_MAX;
  };
  columns = closeness(job.kept) < closeness(job.reduced) && job.kept.total >= kWarp;
  job.segment = columns ? kColumn : kSegment;
  job.segments = (job.reduced.total + job.segment - 1) / job.segment;
  return job;
}

void run(Context& on, ReduceFn fn, const Job& job, bool columns) {
  with_function(fn, [&]<ReduceFn kFn>() {
    with_compute(compute_of(job.in.dtype), [&]<class T>() { start_reduction<kFn, T>(on, job, columns); });
  });
}

// The segments' results side by side, [segments, outputs...], then folded along the first axis.
void run_in_segments(Context& on, ReduceFn fn, Job job, bool columns) {
  Shape outputs;
  Strides strides;
  for (int i = 0; i < job.kept.rank; ++i) {
    outputs.push_back(job.kept.axis[i].size);
    strides.push_back(job.kept.axis[i].out);
  }
  View out{job.out.data, job.out.dtype, outputs, strides};
  out.shape.insert(0, 1), out.strides.insert(0, 0);
  outputs.insert(0, job.segments);
  const Spec partial{dtype_of_compute(compute_of(job.in.dtype)), outputs};
  const Workspace workspace(on, partial.bytes());
  const View parts = contiguous_view(workspace.data(), partial);
  job.out.data = workspace.data(), job.out.dtype = parts.dtype;
  for (int i = 0; i < job.kept.rank; ++i) job.kept.axis[i].out = parts.strides[i + 1];
  run(on, fn, job, columns);
  drive_reduce(on, fn, parts, out);
}

}  // namespace

void drive_reduce(Context& on, ReduceFn fn, const View& in, const View& out) {
  if (out.numel() == 0) return;
  if (in.numel() == 0) {
    alignas(8) std::byte identity[8];
    write_element(out.dtype, fn == ReduceFn::prod ? 1 : 0, identity);
    return drive_fill(on, out, identity);
  }
  bool columns = false;
  const Job job = job_of(in, out, columns);
  if (job.segments == 1)
    run(on, fn, job, columns);
  else
    run_in_segments(on, fn, job, columns);
}

}  // namespace varve::cuda
