// Products too small to fill a GPU by their tiles: the sums of a tile are cut, by the product's size alone,
// among the blocks of a cluster and in each among teams of threads, and joined in one order.
#include <algorithm>

#include <varve/core/axes.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/space.h>
#include <varve/cuda/launch.cuh>

namespace varve::cuda {
namespace {

constexpr int kTile = 32;                               // rows and columns of a block's tile
constexpr int kDepth = 64;                              // terms of its sums that it has at a time
constexpr int kTeam = 64, kTeams = kThreads / kTeam;    // a team's threads have 4 x 4 sums each
constexpr int kPanelStep = kDepth + 1, kSumsStep = 40;  // row lengths in shared memory without conflicts
constexpr int kFetched = kTile * kDepth / kThreads;     // elements of a panel for each thread
constexpr int kMostParts = 8;                           // blocks of a cluster
constexpr int64_t kFewestTerms = 32;                    // that each should have
constexpr int64_t kEnoughBlocks = 256;                  // beyond them, sums are not cut
constexpr int64_t kMostWork = int64_t{1} << 24;         // multiplications of a small product
constexpr int64_t kMostLayers = 65535;                  // blocks along y and along z

// One side of a product: its lines (rows of a, columns of b), and the terms along them.
struct Side {
  const float* data;
  int lines;
  int64_t line_step, term_step;
};
// Products side by side: two axes of them, and how far apart a, b and out lie along each.
struct Layers {
  unsigned inner;
  int64_t steps[2][3];
};
struct Product {
  Side a, b;
  float* out;
  int terms, share;  // in all, and of a part
  unsigned parts;
  Layers layers;
};

// kTile lines by kDepth terms on their way to shared memory, where neighbouring threads take what lies side
// by side: terms (kAlong) or lines.
template <bool kAlong>
class Panel {
 public:
  // From that line and that term on.
  __device__ Panel(const Side& side, int64_t layer_start, int line, int term)
      : x_((kAlong ? term : line) + threadIdx.x % kWide),
        y_((kAlong ? line : term) + threadIdx.x / kWide),
        x_step_(kAlong ? side.term_step : side.line_step),
        y_step_(kAlong ? side.line_step : side.term_step),
        lines_(side.lines),
        at_(side.data + layer_start + x_ * x_step_ + y_ * y_step_) {}
  // What lies before term `end`, else zeros; moves on to the next terms.
  __device__ void fetch(int end) {
    const bool inside = x_ < (kAlong ? end : lines_);
    const int last = kAlong ? lines_ : end;
    const float* at = at_;
#pragma unroll
    for (int i = 0; i < kFetched; ++i, at += kHigh * y_step_)
      element_[i] = inside && y_ + i * kHigh < last ? *at : 0.0f;
    at_ += kDepth * (kAlong ? x_step_ : y_step_);
    (kAlong ? x_ : y_) += kDepth;
  }
  __device__ void put(float* panel) const {
    const int x = threadIdx.x % kWide, y = threadIdx.x / kWide;
#pragma unroll
    for (int i = 0; i < kFetched; ++i)
      panel[kAlong ? (y + i * kHigh) * kPanelStep + x : x * kPanelStep + y + i * kHigh] = element_[i];
  }

 private:
  static constexpr int kWide = kAlong ? kDepth : kTile, kHigh = kThreads / kWide;

  int x_, y_;  // of the first element: x is the same for all
  int64_t x_step_, y_step_;
  int lines_;
  const float* at_;
  float element_[kFetched];
};

// Adds up what a team's share of the terms gives; its threads' sums lie 8 rows and 8 columns apart.
__device__ void add_terms(const float* a, const float* b, int depth, float (&sum)[4][4]) {
  const int row = threadIdx.x % kTeam / 8, column = threadIdx.x % 8;
#pragma unroll 4
  for (int term = threadIdx.x / kTeam; term < depth; term += kTeams) {
    float x[4], y[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[i] = a[(row + 8 * i) * kPanelStep + term];
      y[i] = b[(column + 8 * i) * kPanelStep + term];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[i][j] += x[i] * y[j];
  }
}

template <bool kAlongA, bool kAlongB>
__global__ void __launch_bounds__(kThreads, 2) small_product(const __grid_constant__ Product p) {
  take_turn();
  __shared__ float shared[kTeams * kTile * kSumsStep];
  float *const panel_a = shared, *const panel_b = shared + kTile * kPanelStep;
  static_assert(2 * kTile * kPanelStep <= kTeams * kTile * kSumsStep);
  const int part = static_cast<int>(blockIdx.x % p.parts), first = part * p.share;
  const int row = static_cast<int>(blockIdx.y) * kTile;
  const int column = static_cast<int>(blockIdx.x / p.parts) * kTile;
  const int64_t outer = blockIdx.z / p.layers.inner, inner = blockIdx.z % p.layers.inner;
  const auto start = [&](int i) { return outer * p.layers.steps[0][i] + inner * p.layers.steps[1][i]; };

  float sum[4][4] = {};
  const int end = min(p.terms, first + p.share);
  Panel<kAlongA> a(p.a, start(0), row, first);
  Panel<kAlongB> b(p.b, start(1), column, first);
  a.fetch(end), b.fetch(end);
  for (int term = first; term < end; term += kDepth) {
    a.put(panel_a), b.put(panel_b);
    __syncthreads();
    if (term + kDepth < end) a.fetch(end), b.fetch(end);
    add_terms(panel_a, panel_b, min(end - term, kDepth), sum);
    __syncthreads();
  }

  // The teams' sums, then the parts': each block of the cluster joins some of the tile.
  constexpr int kTeamSums = kTile * kSumsStep;
  float* const mine = shared + threadIdx.x / kTeam * kTeamSums;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      mine[(threadIdx.x % kTeam / 8 + 8 * i) * kSumsStep + threadIdx.x % 8 + 8 * j] = sum[i][j];
  __syncthreads();
  const auto place = [](int i) { return i / kTile * kSumsStep + i % kTile; };
  const auto put = [&](int i, float y) {
    const int r = row + i / kTile, c = column + i % kTile;
    if (r < p.a.lines && c < p.b.lines) p.out[start(2) + int64_t{r} * p.b.lines + c] = y;
  };
#pragma unroll
  for (int i = threadIdx.x; i < kTile * kTile; i += kThreads) {
    const float* s = shared + place(i);
    const float y = (s[0] + s[kTeamSums]) + (s[2 * kTeamSums] + s[3 * kTeamSums]);
    if (p.parts == 1)
      put(i, y);
    else
      shared[place(i)] = y;
  }
  if (p.parts == 1) return;
  meet_cluster();
  const int count = kTile * kTile / static_cast<int>(p.parts);
  for (int i = part * count + static_cast<int>(threadIdx.x); i < (part + 1) * count; i += kThreads) {
    float x[kMostParts];
#pragma unroll
    for (unsigned other = 0; other < kMostParts; ++other)
      x[other] = other < p.parts ? in_block(shared + place(i), other) : 0.0f;
    float y = x[0];
#pragma unroll
    for (int other = 1; other < kMostParts; ++other) y += x[other];
    put(i, y);
  }
  meet_cluster();  // while others read it, a block stays
}

using Kernel = void (*)(Product);
template <bool kAlongA>
Kernel kernel_for(bool along_b) {
  return along_b ? small_product<kAlongA, true> : small_product<kAlongA, false>;
}

}  // namespace

bool drive_small_matmul(Context& on, const View& a, const View& b, const View& out) {
  const int row = out.rank() - 2, column = out.rank() - 1;
  const int64_t m = out.shape[row], n = out.shape[column], k = a.shape[column];
  if (!on.hopper || out.dtype != DType::f32 || out.numel() * k > kMostWork) return false;
  const View starts[] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  const Space layers(starts[2].shape, Views(starts, 3), {});
  const int64_t high = (m + kTile - 1) / kTile, wide = (n + kTile - 1) / kTile;
  if (layers.rank > 2 || high > kMostLayers || layers.total > kMostLayers) return false;
  int64_t parts = 1;
  while (parts < kMostParts && high * wide * layers.total * parts * 2 <= kEnoughBlocks &&
         k / (2 * parts) >= kFewestTerms)
    parts *= 2;
  Product product{{a.as<const float>(), static_cast<int>(m), a.strides[row], a.strides[column]},
                  {b.as<const float>(), static_cast<int>(n), b.strides[column], b.strides[row]},
                  out.as<float>(),
                  static_cast<int>(k),
                  static_cast<int>((k + parts - 1) / parts),
                  static_cast<unsigned>(parts),
                  {layers.rank ? static_cast<unsigned>(layers.size[layers.rank - 1]) : 1, {}}};
  for (int axis = 0; axis < layers.rank; ++axis)
    for (int i = 0; i < 3; ++i)
      product.layers.steps[axis + 2 - layers.rank][i] = layers.operand[i].strides[axis];
  const bool along_b = product.b.term_step == 1;
  const Kernel kernel = product.a.term_step == 1 ? kernel_for<true>(along_b) : kernel_for<false>(along_b);
  start_blocks(on,
               dim3(static_cast<unsigned>(wide * parts), static_cast<unsigned>(high),
                    static_cast<unsigned>(layers.total)),
               product.parts, kernel, product);
  return true;
}

}  // namespace varve::cuda
