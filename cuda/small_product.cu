// Products too small to fill a GPU by their tiles: the sums of a tile are cut, by the product's size alone,
// among the blocks of a cluster and in each among teams of threads, and joined in one order.
#include <algorithm>

#include <varve/core/axes.h>
#include <varve/cuda/capture.h>
#include <varve/cuda/drivers.h>
#include <varve/cuda/small_product.h>
#include <varve/cuda/space.h>
#include <varve/cuda/launch.cuh>
#include <varve/cuda/pointwise.cuh>

namespace varve::cuda {
namespace {

constexpr int kTile = 32;                               // rows and columns of a block's tile
constexpr int kDepth = 64;                              // terms of its sums that it has at a time
constexpr int kTeam = 64, kTeams = kThreads / kTeam;    // a team's threads have 4 x 4 sums each
constexpr int kStages = 2;                              // such are on their way at a time
constexpr int kPanelStep = kDepth + 1, kSumsStep = 40;  // row lengths in shared memory without conflicts
constexpr int kFetched = kTile * kDepth / kThreads;     // elements of a panel for each thread
constexpr int kShare = kTile * kTile / kThreads;        // of a tile's elements for each thread
constexpr int kMostParts = 8;                           // blocks of a cluster
constexpr int64_t kFewestTerms = 32;                    // that each should have
constexpr int64_t kEnoughBlocks = 256;                  // beyond them, sums are not cut
constexpr int64_t kMostWork = int64_t{1} << 24;         // multiplications of small products, in all
constexpr int64_t kMostInLayer = int64_t{1} << 22;      // or of each of many
constexpr int64_t kMostLayers = 65535;                  // blocks along y and along z

// Brings kTile lines by kDepth terms into shared memory, where neighbouring threads take what lies side by
// side: terms (kAlong) or lines.
template <bool kAlong>
class Panels {
 public:
  // From that line and that term on.
  __device__ Panels(const ProductSide& side, int64_t layer_start, int line, int term)
      : x_((kAlong ? term : line) + threadIdx.x % kWide),
        y_((kAlong ? line : term) + threadIdx.x / kWide),
        lines_(side.lines),
        step_((kAlong ? side.line_step : side.term_step) * kHigh),
        advance_(kDepth * side.term_step),
        at_(side.data + layer_start + x_ * (kAlong ? side.term_step : side.line_step) +
            y_ * (kAlong ? side.line_step : side.term_step)) {}
  // Sends for what lies before term `end`, else zeros; moves on to the next terms.
  __device__ void send(float* panel, int end) {
    const int x = threadIdx.x % kWide, y = threadIdx.x / kWide;
    float* to = panel + (kAlong ? y * kPanelStep + x : x * kPanelStep + y);
    const int last = x_ < (kAlong ? end : lines_) ? (kAlong ? lines_ : end) - y_ : 0;
    const float* at = at_;
#pragma unroll
    for (int i = 0; i < kFetched; ++i, at += step_)
      copy_later(to + i * kHigh * (kAlong ? kPanelStep : 1), at, i * kHigh < last);
    at_ += advance_;
    (kAlong ? x_ : y_) += kDepth;
  }

 private:
  static constexpr int kWide = kAlong ? kDepth : kTile, kHigh = kThreads / kWide;

  int x_, y_;  // of the first element: x is the same for all
  int lines_;
  int64_t step_, advance_;
  const float* at_;
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

// y = F(y, operand) by the function's number.
template <class... Fs>
__device__ void apply_step(List<Fs...>, unsigned function, float (&y)[kShare],
                           const float (&operand)[kShare]) {
  unsigned number = 0;
  const auto attempt = [&]<class F>() {
    if (number++ != function) return;
    using Fn = Function<F, float>;
#pragma unroll
    for (int k = 0; k < kShare; ++k) {
      const float both[] = {y[k], operand[k]};
      typename Fn::V x[Fn::kIn];
      for (int i = 0; i < Fn::kIn; ++i) x[i] = both[i];
      float result[1];
      Fn::apply(F{}, x, result);
      y[k] = result[0];
    }
  };
  (attempt.template operator()<Fs>(), ...);
}

constexpr int kStage = 2 * kTile * kPanelStep, kTeamSums = kTile * kSumsStep;  // floats in shared memory
static_assert(kTeams * kTeamSums <= kStages * kStage);

// What a block does: a part of the terms of a tile.
struct Task {
  int part, row, column;
  int64_t start[3];  // of its layer: a, b, out

  __device__ explicit Task(const SmallProduct::Parameters& p)
      : part(static_cast<int>(blockIdx.x % p.parts)),
        row(static_cast<int>(blockIdx.y) * kTile),
        column(static_cast<int>(blockIdx.x / p.parts) * kTile) {
    const int64_t outer = blockIdx.z / p.layers.inner, inner = blockIdx.z % p.layers.inner;
    for (int i = 0; i < 3; ++i) start[i] = outer * p.layers.steps[0][i] + inner * p.layers.steps[1][i];
  }
};

// Those elements of a tile that a thread of this part brings to an end: kHigh rows apart. What the steps read
// is sent for in the beginning, for it is long on its way.
class Results {
 public:
  static constexpr unsigned kMostSteps = std::tuple_size_v<decltype(SmallProduct::Parameters::step)>;
  static constexpr int kHigh = kThreads / kTile;

  __device__ Results(const SmallProduct::Parameters& p, const Task& task) : p_(p) {
    const int rows = kTile / static_cast<int>(p.parts);  // of a part
    const int first = task.part * rows + static_cast<int>(threadIdx.x) / kTile;
    place_ = first * kSumsStep + static_cast<int>(threadIdx.x) % kTile;
    row_ = task.row + first, column_ = task.column + static_cast<int>(threadIdx.x) % kTile;
    rows_ = column_ < p.b.lines ? min(p.a.lines - task.row, (task.part + 1) * rows) - first : 0;
    at_ = task.start[2] + int64_t{row_} * p.b.lines + column_;
  }
  __device__ void fetch_operands() {
#pragma unroll
    for (unsigned s = 0; s < kMostSteps; ++s) {
      const ProductStep& step = p_.step[s];
      if (s >= p_.steps || !step.operand) continue;
      const float* operand = step.operand + row_ * step.row_step + column_ * step.column_step;
#pragma unroll
      for (int k = 0; k < kShare; ++k, operand += kHigh * step.row_step)
        operand_[s][k] = is_mine(k) ? *operand : 0.0f;
    }
  }
  __device__ bool is_mine(int k) const { return k * kHigh < rows_; }
  // Where element k's sums lie in a tile in shared memory.
  __device__ int place(int k) const { return place_ + k * kHigh * kSumsStep; }
  __device__ void put(float (&y)[kShare]) const {
    put(p_.out, y);
#pragma unroll
    for (unsigned s = 0; s < kMostSteps; ++s) {
      if (s >= p_.steps) return;
      apply_step(ProductFunctions{}, p_.step[s].function, y, operand_[s]);
      put(p_.step[s].out, y);
    }
  }

 private:
  __device__ void put(float* out, const float (&y)[kShare]) const {
#pragma unroll
    for (int k = 0; k < kShare; ++k)
      if (is_mine(k)) out[at_ + k * kHigh * p_.b.lines] = y[k];
  }

  const SmallProduct::Parameters& p_;
  int place_, row_, column_, rows_;  // of the first; how many rows from there on are this part's
  int64_t at_;
  float operand_[kMostSteps][kShare] = {};
};

// The sums of each team over its share of the part's terms, all of which have come by then; it waits for what
// came before this kernel.
template <bool kAlongA, bool kAlongB, class Meanwhile>
__device__ void sum_terms(const SmallProduct::Parameters& p, const Task& task, float* shared,
                          float (&sum)[4][4], Meanwhile&& meanwhile) {
  const int first = task.part * p.share, end = min(p.terms, first + p.share);
  Panels<kAlongA> a(p.a, task.start[0], task.row, first);
  Panels<kAlongB> b(p.b, task.start[1], task.column, first);
  const auto send = [&](int stage, int term) {
    if (term < end) a.send(shared + stage * kStage, end), b.send(shared + stage * kStage + kStage / 2, end);
    end_of_batch();
  };
  take_turn();  // what could be known before is
#pragma unroll
  for (int stage = 0; stage < kStages; ++stage) send(stage, first + stage * kDepth);
  meanwhile();
  int stage = 0;
  for (int term = first; term < end; term += kDepth, stage = stage + 1 == kStages ? 0 : stage + 1) {
    wait_for_batches<kStages - 1>();
    __syncthreads();
    const float* panel = shared + stage * kStage;
    add_terms(panel, panel + kStage / 2, min(end - term, kDepth), sum);
    __syncthreads();
    send(stage, term + kStages * kDepth);
  }
  wait_for_batches<0>();
  __syncthreads();
}

// Puts every thread's sums where those of its team lie in shared memory.
__device__ void leave_sums(const float (&sum)[4][4], float* shared) {
  float* const mine = shared + threadIdx.x / kTeam * kTeamSums;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      mine[(threadIdx.x % kTeam / 8 + 8 * i) * kSumsStep + threadIdx.x % 8 + 8 * j] = sum[i][j];
  __syncthreads();
}

// An element of the tile: the sum of the teams' sums.
__device__ float joined_teams(const float* shared, int place) {
  const float* s = shared + place;
  return (s[0] + s[kTeamSums]) + (s[2 * kTeamSums] + s[3 * kTeamSums]);
}

// The same of the parts', which lie in the first team's place of each block.
__device__ float joined_parts(const float* shared, int place, unsigned parts) {
  float x[kMostParts];
#pragma unroll
  for (unsigned other = 0; other < kMostParts; ++other)
    x[other] = other < parts ? in_block(shared + place, other) : 0.0f;
  float y = x[0];
#pragma unroll
  for (int other = 1; other < kMostParts; ++other) y += x[other];
  return y;
}

template <bool kAlongA, bool kAlongB>
__global__ void __launch_bounds__(kThreads, 3)
    small_product(const __grid_constant__ SmallProduct::Parameters p) {
  __shared__ float shared[kStages * kStage];
  const Task task(p);
  Results results(p, task);
  float sum[4][4] = {}, y[kShare] = {};
  sum_terms<kAlongA, kAlongB>(p, task, shared, sum, [&] { results.fetch_operands(); });
  leave_sums(sum, shared);
  if (p.parts == 1) {
#pragma unroll
    for (int k = 0; k < kShare; ++k) y[k] = joined_teams(shared, results.place(k));
    return results.put(y);
  }
#pragma unroll
  for (int k = 0; k < kShare; ++k) {
    const int place = (threadIdx.x / kTile + k * Results::kHigh) * kSumsStep + threadIdx.x % kTile;
    shared[place] = joined_teams(shared, place);
  }
  meet_cluster();
#pragma unroll
  for (int k = 0; k < kShare; ++k)
    if (results.is_mine(k)) y[k] = joined_parts(shared, results.place(k), p.parts);
  results.put(y);
  meet_cluster();  // while others read it, a block stays
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

std::optional<SmallProduct> SmallProduct::of(const Context& on, const View& a, const View& b,
                                             const View& out) {
  const int row = out.rank() - 2, column = out.rank() - 1;
  const int64_t m = out.shape[row], n = out.shape[column], k = a.shape[column];
  if (!on.hopper || out.dtype != DType::f32 || (out.numel() * k > kMostWork && m * n * k > kMostInLayer))
    return {};
  const View starts[] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  const Space layers(starts[2].shape, Views(starts, 3), {});
  const int64_t high = (m + kTile - 1) / kTile, wide = (n + kTile - 1) / kTile;
  if (layers.rank > 2 || high > kMostLayers || layers.total > kMostLayers) return {};
  int64_t parts = 1;
  while (parts < kMostParts && high * wide * layers.total * parts * 2 <= kEnoughBlocks &&
         k / (2 * parts) >= kFewestTerms)
    parts *= 2;
  SmallProduct made;
  made.p_ = {{a.as<const float>(), static_cast<int>(m), a.strides[row], a.strides[column]},
             {b.as<const float>(), static_cast<int>(n), b.strides[column], b.strides[row]},
             out.as<float>(),
             static_cast<int>(k),
             static_cast<int>((k + parts - 1) / parts),
             static_cast<unsigned>(parts),
             0,
             {layers.rank ? static_cast<unsigned>(layers.size[layers.rank - 1]) : 1, {}},
             {}};
  for (int axis = 0; axis < layers.rank; ++axis)
    for (int i = 0; i < 3; ++i)
      made.p_.layers.steps[axis + 2 - layers.rank][i] = layers.operand[i].strides[axis];
  made.wide_ = static_cast<unsigned>(wide * parts), made.high_ = static_cast<unsigned>(high);
  made.layers_ = static_cast<unsigned>(layers.total);
  made.last_ = out;
  return made;
}

bool SmallProduct::then(pointwise::Id function, Views in, const View& out) {
  unsigned number = 0, found = ~0u;
  size_t inputs = 0;
  for_each_type(ProductFunctions{}, [&]<class F>() {
    if (pointwise::id_of<F> == function) found = number, inputs = F::kAbout.inputs;
    ++number;
  });
  const auto fits = [&](const View& v) { return v.dtype == DType::f32 && v.shape == last_.shape; };
  if (found == ~0u || p_.steps == p_.step.size() || layers_ != 1 || last_.rank() != 2 ||
      in.size() != inputs || in[0].data != last_.data || in[0].strides != last_.strides || !fits(in[0]) ||
      !fits(out) || !is_contiguous(out) || (inputs == 2 && !fits(in[1])))
    return false;
  ProductStep& step = p_.step[p_.steps++];
  step = {found, nullptr, 0, 0, out.as<float>()};
  if (inputs == 2)
    step.operand = in[1].as<const float>(), step.row_step = in[1].strides[0],
    step.column_step = in[1].strides[1];
  last_ = out;
  return true;
}

void SmallProduct::start(Context& on) const {
  const bool along_b = p_.b.term_step == 1;
  const Kernel kernel = p_.a.term_step == 1 ? kernel_for<true>(along_b) : kernel_for<false>(along_b);
  start_blocks(on, dim3(wide_, high_, layers_), p_.parts, kernel, p_);
}

bool drive_small_matmul(Context& on, const View& a, const View& b, const View& out) {
  const auto product = SmallProduct::of(on, a, b, out);
  if (!product) return false;
  if (Capture* const capture = on.capture())
    capture->hold(*product);
  else
    product->start(on);
  return true;
}

}  // namespace varve::cuda
