// Products too small to fill a GPU by their tiles: the sums of a tile are cut, by the product's size alone,
// among the blocks of a cluster and in each among teams of threads, and joined in one order.
#include <varve/cuda/launch.cuh>
#include <varve/cuda/product_steps.cuh>

namespace varve::cuda {
namespace {

constexpr int kTile = kProductTile;
constexpr int kDepth = 64;                            // terms of its sums that it has at a time
constexpr int kTeam = 64, kTeams = kThreads / kTeam;  // a team's threads have 4 x 4 sums each
constexpr int kStages = 2;                            // such are on their way at a time

// kTile lines by kDepth terms in shared memory, where what lies side by side in memory does, too: terms
// (kAlong) or lines. Fours of them are read at once; without conflicts, as rows of terms are 4 more than a
// multiple of 32 apart.
template <bool kAlong>
class Panels {
 public:
  static constexpr int kWide = kAlong ? kDepth : kTile, kHigh = kAlong ? kTile : kDepth;
  static constexpr int kStep = kAlong ? kDepth + 4 : kTile, kSize = kHigh * kStep;

  // From that line and that term on.
  __device__ Panels(const ProductSide& side, int64_t layer_start, int line, int term)
      : side_(side),
        line_(line),
        term_(term),
        at_(side.data + layer_start + line * side.line_step + term * side.term_step) {}
  // Sends for what lies before term `end`, else zeros; moves on to the next terms.
  __device__ void send(float* panel, int end) {
    const int wide = kAlong ? end - term_ : side_.lines - line_,
              high = kAlong ? side_.lines - line_ : end - term_;
    if (side_.fours)
      send_by<4>(panel, wide, high);
    else
      send_by<1>(panel, wide, high);
    at_ += kDepth * side_.term_step, term_ += kDepth;
  }
  // Where the line of a thread's sum number i is that begins with the line of number `first`.
  static __device__ int line(int first, int i) { return kAlong ? first + 8 * i : 4 * first + i; }
  // Four terms of the four lines.
  static __device__ void read(const float* panel, int first, int quad, float (&x)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* from =
          panel + (kAlong ? line(first, i) * kStep + 4 * quad : (4 * quad + i) * kStep + 4 * first);
      const float4 v = reinterpret_cast<const float4&>(*from);
      const float four[] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int k = 0; k < 4; ++k) (kAlong ? x[i][k] : x[k][i]) = four[k];
    }
  }

 private:
  template <int kEach>
  __device__ void send_by(float* panel, int wide, int high) const {
    constexpr int kInRow = kWide / kEach;
    const int64_t x_step = kAlong ? side_.term_step : side_.line_step,
                  y_step = kAlong ? side_.line_step : side_.term_step;
#pragma unroll 2
    for (int i = 0; i < kWide * kHigh / kEach / kThreads; ++i) {
      const int place = static_cast<int>(threadIdx.x) + i * kThreads, x = place % kInRow * kEach,
                y = place / kInRow;
      const int some = y < high ? max(0, min(kEach, wide - x)) : 0;
      copy_later<kEach>(panel + y * kStep + x, at_ + x * x_step + y * y_step, some);
    }
  }

  const ProductSide& side_;
  int line_, term_;
  const float* at_;
};

// Adds up what a team's share of the terms gives: every fourth four of them.
template <class A, class B>
__device__ void add_terms(const float* a, const float* b, int depth, float (&sum)[4][4]) {
  const int row = threadIdx.x % kTeam / 8, column = threadIdx.x % 8;
#pragma unroll 2
  for (int quad = threadIdx.x / kTeam; 4 * quad < depth; quad += kTeams) {
    float x[4][4], y[4][4];
    A::read(a, row, quad, x);
    B::read(b, column, quad, y);
#pragma unroll
    for (int term = 0; term < 4; ++term)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += x[i][term] * y[j][term];
  }
}

constexpr int kPanel = Panels<true>::kSize, kStage = 2 * kPanel;  // floats in shared memory
constexpr int kTeamSums = kTile * kSumsStep;
static_assert(Panels<false>::kSize <= kPanel && kTeams * kTeamSums <= kStages * kStage);

// The sums of each team over its share of the part's terms, all of which have come by then; it waits for what
// came before this kernel.
template <class A, class B>
__device__ void sum_terms(const SmallProduct::Parameters& p, const Task& task, Results& results,
                          float* shared, float (&sum)[4][4]) {
  const int first = task.part * p.share, end = min(p.terms, first + p.share);
  A a(p.a, task.start[0], task.row, first);
  B b(p.b, task.start[1], task.column, first);
  take_turn();  // what could be known before is
  int sent = first, stage = 0;
#pragma unroll 1
  for (int term = first - kStages * kDepth; term < end; term += kDepth, stage = (stage + 1) % kStages) {
    float* const panel = shared + stage * kStage;
    if (term >= first) {
      wait_for_batches<kStages - 1>();
      __syncthreads();
      add_terms<A, B>(panel, panel + kPanel, min(end - term, kDepth), sum);
      __syncthreads();
    }
    if (sent < end) a.send(panel, end), b.send(panel + kPanel, end);
    if (sent == first) results.send();
    end_of_batch();
    sent += kDepth;
  }
  wait_for_batches<0>();
  __syncthreads();
}

// Puts every thread's sums where those of its team lie in shared memory.
template <class A, class B>
__device__ void leave_sums(const float (&sum)[4][4], float* shared) {
  float* const mine = shared + threadIdx.x / kTeam * kTeamSums;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float* const row = mine + A::line(threadIdx.x % kTeam / 8, i) * kSumsStep;
    const int first = B::line(threadIdx.x % 8, 0);
    if constexpr (B::kWide == kTile)
      reinterpret_cast<float4&>(row[first]) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
    else
#pragma unroll
      for (int j = 0; j < 4; ++j) row[B::line(threadIdx.x % 8, j)] = sum[i][j];
  }
  __syncthreads();
}

// An element of the tile: the sum of the teams' sums, the first of which lies there.
__device__ float joined_teams(const float* s) {
  return (s[0] + s[kTeamSums]) + (s[2 * kTeamSums] + s[3 * kTeamSums]);
}

// The same of the parts', which lie in the first team's place of each block.
__device__ float joined_parts(const float* s, unsigned parts) {
  float x[kMostProductParts];
#pragma unroll
  for (unsigned other = 0; other < kMostProductParts; ++other)
    x[other] = other < parts ? in_block(s, other) : 0.0f;
  float y = x[0];
#pragma unroll
  for (int other = 1; other < kMostProductParts; ++other) y += x[other];
  return y;
}

template <bool kAlongA, bool kAlongB>
__global__ void __launch_bounds__(kThreads, 2)
    small_product(const __grid_constant__ SmallProduct::Parameters p) {
  using A = Panels<kAlongA>;
  using B = Panels<kAlongB>;
  __shared__ __align__(16) float shared[kStages * kStage];
  __shared__ ProductExtras extras;
  const Task task(p);
  Results results(p, task, shared, extras);
  float sum[4][4] = {};
  sum_terms<A, B>(p, task, results, shared, sum);
  leave_sums<A, B>(sum, shared);
  if (p.parts > 1) {
#pragma unroll 1
    for (int row = threadIdx.x / kTile; row < kTile; row += Results::kHigh) {
      float& y = shared[row * kSumsStep + threadIdx.x % kTile];
      y = joined_teams(&y);
    }
    meet_cluster();
  }
  results.put(
      [&](const float* sums) { return p.parts > 1 ? joined_parts(sums, p.parts) : joined_teams(sums); });
  if (p.parts > 1) meet_cluster();  // while others read it, a block stays
}

using Kernel = void (*)(SmallProduct::Parameters);
template <bool kAlongA>
Kernel kernel_for(bool along_b) {
  return along_b ? small_product<kAlongA, true> : small_product<kAlongA, false>;
}

}  // namespace

bool compiled_for_hopper() {
  cudaFuncAttributes attributes;
  VARVE_CUDA_CHECK(cudaFuncGetAttributes(&attributes, small_product<true, true>));
  return attributes.ptxVersion >= 90;
}

void SmallProduct::start(Context& on) const {
  const bool along_b = p_.b.term_step == 1;
  const Kernel kernel = p_.a.term_step == 1 ? kernel_for<true>(along_b) : kernel_for<false>(along_b);
  start_blocks(on, dim3(wide_, high_, layers_), p_.parts, kernel, p_);
}

}  // namespace varve::cuda
