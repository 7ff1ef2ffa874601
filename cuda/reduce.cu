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
constexpr int64_t kColumn = 512;    // elements of a column that a block folds
constexpr int kWarp = 32;
constexpr int kQuad = 4;  // neighbours that a thread takes at once

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
#pragma unroll 1
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
  bool plain;  // no conversion, and one axis is reduced
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

// What lies at an index of the reduced elements of an output that begins at `base`. kPlain: they are T, and
// on one axis.
template <class T, bool kPlain>
__device__ T reduced_at(const Job& job, int64_t base, int64_t index) {
  if constexpr (kPlain) return element<T>(job.in, base + index * job.reduced.axis[0].in);
  int64_t unused = 0;
  job.reduced.locate(index, base, unused);
  return load<T>(job.in, base);
}

// Folds first, first + step, ... before last; several are on their way at a time.
template <ReduceFn kFn, class T, bool kPlain>
__device__ T fold_steps(const Job& job, int64_t base, int64_t first, int64_t last, int64_t step) {
  constexpr int kTurns = 8;
  T y = Fold<kFn, T>::identity();
  for (int64_t r = first; r < last; r += kTurns * step) {
    T x[kTurns];
#pragma unroll
    for (int t = 0; t < kTurns; ++t)
      x[t] = r + t * step < last ? reduced_at<T, kPlain>(job, base, r + t * step) : Fold<kFn, T>::identity();
#pragma unroll
    for (int t = 0; t < kTurns; ++t) y = Fold<kFn, T>::of(y, x[t]);
  }
  return y;
}

template <class T>
struct alignas(16) Quad {
  T x[kQuad];
};
template <class T, bool kPlain>
__device__ Quad<T> quad_at(const Job& job, int64_t base, int64_t first, int64_t last, bool dense,
                           T otherwise) {
  if (kPlain && dense && first + kQuad <= last)
    return *reinterpret_cast<const Quad<T>*>(&element<T>(job.in, base + first));
  Quad<T> quad;
#pragma unroll
  for (int k = 0; k < kQuad; ++k)
    quad.x[k] = first + k < last ? reduced_at<T, kPlain>(job, base, first + k) : otherwise;
  return quad;
}

// Folds the fours that begin at first, first + step, ... before last; they are loaded whole where they lie
// so, which changes no bit.
template <ReduceFn kFn, class T, bool kPlain>
__device__ T fold_quads(const Job& job, int64_t base, int64_t first, int64_t last, int64_t step) {
  constexpr int kTurns = 4;
  const bool dense = kPlain && job.reduced.axis[0].in == 1 &&
                     reinterpret_cast<uintptr_t>(&element<T>(job.in, base + first)) % sizeof(float4) == 0;
  T y[kQuad];
#pragma unroll
  for (int k = 0; k < kQuad; ++k) y[k] = Fold<kFn, T>::identity();
  for (int64_t r = first; r < last; r += kTurns * step) {
    Quad<T> x[kTurns];
#pragma unroll
    for (int t = 0; t < kTurns; ++t)
      x[t] = quad_at<T, kPlain>(job, base, r + t * step, last, dense, Fold<kFn, T>::identity());
#pragma unroll
    for (int t = 0; t < kTurns; ++t)
#pragma unroll
      for (int k = 0; k < kQuad; ++k) y[k] = Fold<kFn, T>::of(y[k], x[t].x[k]);
  }
  return Fold<kFn, T>::of(Fold<kFn, T>::of(y[0], y[1]), Fold<kFn, T>::of(y[2], y[3]));
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
    const int64_t segment = unit % job.segments, first = segment * job.segment + lane * kQuad;
    const int64_t last = min(job.reduced.total, (segment + 1) * job.segment);
    int64_t base = 0, to = segment * job.kept.total;  // segments are the outermost axis of the output
    T y = Fold<kFn, T>::identity();
    if (some) {
      job.kept.locate(unit / job.segments, base, to);
      y = job.plain ? fold_quads<kFn, T, true>(job, base, first, last, kGroup * kQuad)
                    : fold_quads<kFn, T, false>(job, base, first, last, kGroup * kQuad);
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

// For sums over outer axes: a block for a segment of as many outputs as a warp has threads, side by side;
// each of its warps folds every so manieth element.
template <ReduceFn kFn, class T>
__global__ void __launch_bounds__(kThreads) reduce_columns(const __grid_constant__ Job job) {
  take_turn();
  constexpr int kWarps = kThreads / kWarp;
  __shared__ T parts[kWarps][kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t wide = (job.kept.total + kWarp - 1) / kWarp;
  for (int64_t unit = blockIdx.x; unit < wide * job.segments; unit += gridDim.x) {
    const int64_t kept = unit % wide * kWarp + lane, segment = unit / wide;
    const int64_t first = segment * job.segment + warp;
    const int64_t last = min(job.reduced.total, (segment + 1) * job.segment);
    int64_t base = 0, to = segment * job.kept.total;
    if (kept < job.kept.total) {
      job.kept.locate(kept, base, to);
      parts[warp][lane] = job.plain ? fold_steps<kFn, T, true>(job, base, first, last, kWarps)
                                    : fold_steps<kFn, T, false>(job, base, first, last, kWarps);
    }
    __syncthreads();
    if (warp == 0 && kept < job.kept.total) {
      T y = parts[0][lane];
      for (int w = 1; w < kWarps; ++w) y = Fold<kFn, T>::of(y, parts[w][lane]);
      store<T>(job.out, to, y);
    }
    __syncthreads();
  }
}

template <ReduceFn kFn, class T>
void start_reduction(Context& on, Job job, bool columns) {
  const int64_t units = job.kept.total * job.segments;
  job.plain = job.in.dtype == dtype_of<T> && job.reduced.rank == 1;
  if (columns)
    start(on, (job.kept.total + kWarp - 1) / kWarp * job.segments * kThreads, reduce_columns<kFn, T>, job);
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
  Job job{space.operand[0], space.operand[1], {}, {}, 0, 1, false};
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
