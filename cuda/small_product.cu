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
constexpr int kPanelStep = kDepth + 1, kSumsStep = 40;  // row lengths in shared memory without conflicts
constexpr int kFetched = kTile * kDepth / kThreads;     // elements of a panel for each thread
constexpr int kShare = kTile * kTile / kThreads;        // of a tile's elements for each thread
constexpr int kMostParts = 8;                           // blocks of a cluster
constexpr int64_t kFewestTerms = 32;                    // that each should have
constexpr int64_t kEnoughBlocks = 256;                  // beyond them, sums are not cut
constexpr int64_t kMostWork = int64_t{1} << 24;         // multiplications of small products, in all
constexpr int64_t kMostInLayer = int64_t{1} << 22;      // or of each of many
constexpr int64_t kMostLayers = 65535;                  // blocks along y and along z

// kTile lines by kDepth terms on their way to shared memory, where neighbouring threads take what lies side
// by side: terms (kAlong) or lines.
template <bool kAlong>
class Panel {
 public:
  // From that line and that term on.
  __device__ Panel(const ProductSide& side, int64_t layer_start, int line, int term)
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

// F(y, operand) by its number.
template <class... Fs>
__device__ float done(List<Fs...>, unsigned function, float y, float operand) {
  unsigned number = 0;
  const auto attempt = [&]<class F>() {
    if (number++ != function) return;
    using Fn = Function<F, float>;
    const float both[] = {y, operand};
    typename Fn::V x[Fn::kIn];
    for (int k = 0; k < Fn::kIn; ++k) x[k] = both[k];
    float result[1];
    Fn::apply(F{}, x, result);
    y = result[0];
  };
  (attempt.template operator()<Fs>(), ...);
  return y;
}

// Those elements of a tile that a thread of this part brings to an end. What the steps read is asked for in
// the beginning, for it is long on its way.
class Results {
 public:
  static constexpr unsigned kMostSteps = std::tuple_size_v<decltype(SmallProduct::Parameters::step)>;

  __device__ Results(const SmallProduct::Parameters& p, int part, int row, int column, int64_t layer_start)
      : p_(p),
        row_(row),
        column_(column),
        out_(p.out + layer_start),
        count_(kTile * kTile / static_cast<int>(p.parts)),
        first_(part * count_) {
#pragma unroll
    for (unsigned s = 0; s < kMostSteps; ++s)
#pragma unroll
      for (int k = 0; k < kShare; ++k)
        operand_[s][k] = s < p.steps && p.step[s].operand && inside(k)
                             ? p.step[s].operand[r(k) * p.step[s].row_step + c(k) * p.step[s].column_step]
                             : 0.0f;
  }
  // The number in the tile of the thread's element k.
  __device__ int index(int k) const { return first_ + static_cast<int>(threadIdx.x) + k * kThreads; }
  __device__ int end() const { return first_ + count_; }
  __device__ void put(int k, float y) const {
    if (!inside(k)) return;
    const int64_t at = int64_t{r(k)} * p_.b.lines + c(k);
    out_[at] = y;
#pragma unroll
    for (unsigned s = 0; s < kMostSteps; ++s)
      if (s < p_.steps)
        p_.step[s].out[at] = y = done(ProductFunctions{}, p_.step[s].function, y, operand_[s][k]);
  }

 private:
  __device__ int r(int k) const { return row_ + index(k) / kTile; }
  __device__ int c(int k) const { return column_ + index(k) % kTile; }
  __device__ bool inside(int k) const { return index(k) < end() && r(k) < p_.a.lines && c(k) < p_.b.lines; }

  const SmallProduct::Parameters& p_;
  int row_, column_;
  float* out_;
  int count_, first_;
  float operand_[kMostSteps][kShare];
};

template <bool kAlongA, bool kAlongB>
__global__ void __launch_bounds__(kThreads, 2)
    small_product(const __grid_constant__ SmallProduct::Parameters p) {
  __shared__ float shared[kTeams * kTile * kSumsStep];
  float *const panel_a = shared, *const panel_b = shared + kTile * kPanelStep;
  static_assert(2 * kTile * kPanelStep <= kTeams * kTile * kSumsStep);
  const int part = static_cast<int>(blockIdx.x % p.parts), first = part * p.share;
  const int row = static_cast<int>(blockIdx.y) * kTile;
  const int column = static_cast<int>(blockIdx.x / p.parts) * kTile;
  const int64_t outer = blockIdx.z / p.layers.inner, inner = blockIdx.z % p.layers.inner;
  const auto start = [&](int i) { return outer * p.layers.steps[0][i] + inner * p.layers.steps[1][i]; };

  const int end = min(p.terms, first + p.share);
  Panel<kAlongA> a(p.a, start(0), row, first);
  Panel<kAlongB> b(p.b, start(1), column, first);
  take_turn();  // what could be known before is
  a.fetch(end), b.fetch(end);
  const Results results(p, part, row, column, start(2));
  float sum[4][4] = {};
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
  const auto joined = [&](int i) {
    const float* s = shared + place(i);
    return (s[0] + s[kTeamSums]) + (s[2 * kTeamSums] + s[3 * kTeamSums]);
  };
  if (p.parts == 1) {
#pragma unroll
    for (int k = 0; k < kShare; ++k) results.put(k, joined(results.index(k)));
    return;
  }
  for (int i = threadIdx.x; i < kTile * kTile; i += kThreads) shared[place(i)] = joined(i);
  meet_cluster();
#pragma unroll
  for (int k = 0; k < kShare; ++k) {
    const int i = results.index(k);
    if (i >= results.end()) break;
    float x[kMostParts];
#pragma unroll
    for (unsigned other = 0; other < kMostParts; ++other)
      x[other] = other < p.parts ? in_block(shared + place(i), other) : 0.0f;
    float y = x[0];
#pragma unroll
    for (int other = 1; other < kMostParts; ++other) y += x[other];
    results.put(k, y);
  }
  meet_cluster();  // while others read it, a block stays
}

using Kernel = void (*)(SmallProduct::Parameters);
template <bool kAlongA>
Kernel kernel_for(bool along_b) {
  return along_b ? small_product<kAlongA, true> : small_product<kAlongA, false>;
}

}  // namespace

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
