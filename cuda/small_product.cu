// Products too small to fill a GPU by their tiles: the sums of a tile are cut, by the product's size alone,
// among the blocks of a cluster and in each among teams of threads, and joined in one order.
#include <algorithm>

#include <varve/cuda/launch.cuh>
#include <varve/cuda/product_steps.cuh>

namespace varve::cuda {
namespace {

constexpr int kTile = kProductTile;
constexpr int kDepth = 64;                            // terms of its sums that it has at a time
constexpr int kTeam = 64, kTeams = kThreads / kTeam;  // a team's threads have 4 x 4 sums each
constexpr int kStages = 2;                            // such are on their way at a time

// kTile lines by kDepth terms of a side in shared memory, where what lies side by side in memory does, too:
// terms
// (`along`) or lines. Fours of them are read at once; without conflicts, as rows of terms are 4 more than a
// multiple of 32 apart.
class Panels {
 public:
  static constexpr int kTermsStep = kDepth + 4, kSize = std::max(kTile * kTermsStep, kDepth*kTile);

  // From that line and that term on.
  __device__ Panels(const ProductSide& side, int64_t layer_start, int line, int term)
      : side_(side),
        along_(side.term_step == 1),
        line_(line),
        term_(term),
        at_(side.data + layer_start + line * side.line_step + term * side.term_step) {}
  __device__ bool along() const { return along_; }
  // Sends for what lies before term `end`, else zeros; moves on to the next terms.
  __device__ void send(float* panel, int end) {
    const int terms = end - term_, lines = side_.lines - line_;
    if (side_.fours)
      send_by<4>(panel, along_ ? terms : lines, along_ ? lines : terms);
    else
      send_by<1>(panel, along_ ? terms : lines, along_ ? lines : terms);
    at_ += kDepth * side_.term_step, term_ += kDepth;
  }
  // Which line a thread's sum number i is of, whose lines begin with that of number `first` of eight.
  __device__ int line(int first, int i) const { return along_ ? first + 8 * i : 4 * first + i; }
  // Four terms of the four lines: x[line][term] if `along`, else x[term][line].
  __device__ void read(const float* panel, int first, int quad, float (&x)[4][4]) const {
    const float* from = panel + (along_ ? first * kTermsStep + 4 * quad : 4 * quad * kTile + 4 * first);
    const int step = along_ ? 8 * kTermsStep : kTile;
#pragma unroll
    for (int i = 0; i < 4; ++i, from += step) {
      const float4 v = reinterpret_cast<const float4&>(*from);
      x[i][0] = v.x, x[i][1] = v.y, x[i][2] = v.z, x[i][3] = v.w;
    }
  }

 private:
  template <int kEach>
  __device__ void send_by(float* panel, int wide, int high) const {
    const int in_row = (along_ ? kDepth : kTile) / kEach, step = along_ ? kTermsStep : kTile;
    const int64_t y_step = along_ ? side_.line_step : side_.term_step;
    const int64_t x_step = along_ ? side_.term_step : side_.line_step;
    const int x = static_cast<int>(threadIdx.x) % in_row * kEach, some = max(0, min(kEach, wide - x));
    int y = static_cast<int>(threadIdx.x) / in_row;
    const float* from = at_ + x * x_step + y * y_step;
    float* to = panel + y * step + x;
    const int rows = kThreads / in_row;
#pragma unroll 2
    for (int i = 0; i < kTile * kDepth / kEach / kThreads;
         ++i, y += rows, from += rows * y_step, to += rows * step)
      copy_later<kEach>(to, from, y < high ? some : 0);
  }

  const ProductSide& side_;
  bool along_;
  int line_, term_;
  const float* at_;
};

// Adds up what a team's share of the terms gives: every fourth four of them.
template <bool kAlongA, bool kAlongB>
__device__ void add_terms(const Panels& a, const Panels& b, const float* panel, int depth,
                          float (&sum)[4][4]) {
  const int row = threadIdx.x % kTeam / 8, column = threadIdx.x % 8;
#pragma unroll 1
  for (int quad = threadIdx.x / kTeam; 4 * quad < depth; quad += kTeams) {
    float x[4][4], y[4][4];
    a.read(panel, row, quad, x);
    b.read(panel + Panels::kSize, column, quad, y);
#pragma unroll
    for (int term = 0; term < 4; ++term)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sum[i][j] += (kAlongA ? x[i][term] : x[term][i]) * (kAlongB ? y[j][term] : y[term][j]);
  }
}

constexpr int kStage = 2 * Panels::kSize, kTeamSums = kTile * kSumsStep;  // floats in shared memory
static_assert(kTeams * kTeamSums <= kStages * kStage);

// The sums of each team over its share of the part's terms, all of which have come by then; it waits for what
// came before this kernel.
__device__ void sum_terms(const SmallProduct::Parameters& p, const Task& task, Results& results,
                          float* shared, Panels& a, Panels& b, float (&sum)[4][4]) {
  const int first = task.part * p.share, end = min(p.terms, first + p.share);
  take_turn();  // what could be known before is
  int sent = first, stage = 0;
#pragma unroll 1
  for (int term = first - kStages * kDepth; term < end; term += kDepth, stage = (stage + 1) % kStages) {
    float* const panel = shared + stage * kStage;
    if (term >= first) {
      wait_for_batches<kStages - 1>();
      __syncthreads();
      const int depth = min(end - term, kDepth);
      if (a.along())
        b.along() ? add_terms<true, true>(a, b, panel, depth, sum)
                  : add_terms<true, false>(a, b, panel, depth, sum);
      else
        b.along() ? add_terms<false, true>(a, b, panel, depth, sum)
                  : add_terms<false, false>(a, b, panel, depth, sum);
      __syncthreads();
    }
    if (sent < end) a.send(panel, end), b.send(panel + Panels::kSize, end);
    if (sent == first) results.send();
    end_of_batch();
    sent += kDepth;
  }
  wait_for_batches<0>();
  __syncthreads();
}

// Puts every thread's sums where those of its team lie in shared memory.
__device__ void leave_sums(const Panels& a, const Panels& b, const float (&sum)[4][4], float* shared) {
  float* const mine = shared + threadIdx.x / kTeam * kTeamSums;
  const int first = threadIdx.x % kTeam / 8, column = threadIdx.x % 8;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float* const row = mine + a.line(first, i) * kSumsStep;
    if (b.along())
#pragma unroll
      for (int j = 0; j < 4; ++j) row[b.line(column, j)] = sum[i][j];
    else
      reinterpret_cast<float4&>(row[b.line(column, 0)]) =
          make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
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

__global__ void __launch_bounds__(kThreads, 2)
    small_product(const __grid_constant__ SmallProduct::Parameters p) {
  __shared__ __align__(16) float shared[kStages * kStage];
  __shared__ ProductExtras extras;
  const Task task(p);
  Results results(p, task, shared, extras);
  Panels a(p.a, task.start[0], task.row, task.part * p.share),
      b(p.b, task.start[1], task.column, task.part * p.share);
  float sum[4][4] = {};
  sum_terms(p, task, results, shared, a, b, sum);
  leave_sums(a, b, sum, shared);
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

}  // namespace

bool compiled_for_hopper() {
  cudaFuncAttributes attributes;
  VARVE_CUDA_CHECK(cudaFuncGetAttributes(&attributes, small_product));
  return attributes.ptxVersion >= 90;
}

void SmallProduct::start(Context& on) const {
  start_blocks(on, dim3(wide_, high_, layers_), p_.parts, small_product, p_);
}

}  // namespace varve::cuda
