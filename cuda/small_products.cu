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
constexpr int64_t kMostParts = 8, kFewestTerms = 32;    // blocks of a cluster, and what each should have
constexpr int64_t kEnoughBlocks = 256;                  // beyond them, sums are not cut
constexpr int64_t kMostWork = int64_t{1} << 24;         // multiplications of a small product
constexpr int64_t kMostLayers = 65535;                  // blocks along y and along z

// One side of a product: its lines (rows of a, columns of b), and the terms along them.
struct Side {
  const float* data;
  int64_t lines, line_step, term_step;
};

struct Product {
  Side a, b;
  float* out;
  int64_t terms, share;  // in all, and of a part
  unsigned parts;
};

// kTile lines by kDepth terms on their way to shared memory. Neighbouring threads take what lies side by
// side.
class Panel {
 public:
  __device__ Panel(const Side& side, int64_t first_line) : side_(side), first_(first_line) {
    along_ = side.term_step == 1;
  }
  __device__ void fetch(int64_t first, int64_t end) {
#pragma unroll
    for (int i = 0; i < kFetched; ++i) {
      const int64_t line = first_ + line_of(i), term = first + term_of(i);
      element_[i] = line < side_.lines && term < end
                        ? side_.data[line * side_.line_step + term * side_.term_step]
                        : 0.0f;
    }
  }
  __device__ void put(float* panel) const {
#pragma unroll
    for (int i = 0; i < kFetched; ++i) panel[line_of(i) * kPanelStep + term_of(i)] = element_[i];
  }

 private:
  static constexpr int kWide = kThreads / kDepth, kHigh = kThreads / kTile;
  __device__ int line_of(int i) const {
    return along_ ? threadIdx.x / kDepth + i * kWide : threadIdx.x % kTile;
  }
  __device__ int term_of(int i) const {
    return along_ ? threadIdx.x % kDepth : threadIdx.x / kTile + i * kHigh;
  }

  const Side& side_;
  int64_t first_;
  bool along_;
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

// Operands of `batches`: where the matrices a, b and out begin.
__global__ void __launch_bounds__(kThreads) small_product(Product p, const __grid_constant__ Space batches) {
  take_turn();
  __shared__ float shared[kTeams * kTile * kSumsStep];
  float *const panel_a = shared, *const panel_b = shared + kTile * kPanelStep;
  static_assert(2 * kTile * kPanelStep <= kTeams * kTile * kSumsStep);
  const unsigned part = blockIdx.x % p.parts;
  const int64_t row = int64_t{blockIdx.y} * kTile, column = int64_t{blockIdx.x / p.parts} * kTile;
  int64_t at[3];
  locate(batches, blockIdx.z, at);
  p.a.data += at[0], p.b.data += at[1], p.out += at[2];

  float sum[4][4] = {};
  const int64_t end = min(p.terms, (part + 1) * p.share);
  Panel a(p.a, row), b(p.b, column);
  a.fetch(part * p.share, end), b.fetch(part * p.share, end);
  for (int64_t first = part * p.share; first < end; first += kDepth) {
    a.put(panel_a), b.put(panel_b);
    __syncthreads();
    if (first + kDepth < end) a.fetch(first + kDepth, end), b.fetch(first + kDepth, end);
    add_terms(panel_a, panel_b, static_cast<int>(min(end - first, int64_t{kDepth})), sum);
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
    const int64_t r = row + i / kTile, c = column + i % kTile;
    if (r < p.a.lines && c < p.b.lines) p.out[r * p.b.lines + c] = y;
  };
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
  const int count = kTile * kTile / p.parts;
  for (int i = part * count + threadIdx.x; i < (part + 1) * count; i += kThreads) {
    float y = 0;
    for (unsigned other = 0; other < p.parts; ++other) y += in_block(shared + place(i), other);
    put(i, y);
  }
  meet_cluster();  // while others read it, a block stays
}

}  // namespace

bool drive_small_matmul(Context& on, const View& a, const View& b, const View& out) {
  const int row = out.rank() - 2, column = out.rank() - 1;
  const int64_t m = out.shape[row], n = out.shape[column], k = a.shape[column];
  if (!on.hopper || out.dtype != DType::f32 || out.numel() * k > kMostWork) return false;
  const View starts[] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  const Space batches(starts[2].shape, Views(starts, 3), {});
  const int64_t high = (m + kTile - 1) / kTile, wide = (n + kTile - 1) / kTile;
  if (high > kMostLayers || batches.total > kMostLayers) return false;
  int64_t parts = 1;
  while (parts < kMostParts && high * wide * batches.total * parts * 2 <= kEnoughBlocks &&
         k / (2 * parts) >= kFewestTerms)
    parts *= 2;
  const Product product{{a.as<const float>(), m, a.strides[row], a.strides[column]},
                        {b.as<const float>(), n, b.strides[column], b.strides[row]},
                        out.as<float>(),
                        k,
                        (k + parts - 1) / parts,
                        static_cast<unsigned>(parts)};
  start_blocks(on,
               dim3(static_cast<unsigned>(wide * parts), static_cast<unsigned>(high),
                    static_cast<unsigned>(batches.total)),
               product.parts, small_product, product, batches);
  return true;
}

}  // namespace varve::cuda
