// Matrix products: tiles, each a product of its own for whichever thread is free. How a product is cut
// changes no bit.
#include <varve/core/axes.h>
#include <varve/core/cpu/drivers.h>
#include <varve/core/cpu/level.h>
#include <varve/core/cpu/space.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/cpu/workspace.h>

namespace varve::cpu {
namespace {

// The output of one product cut into tiles of about equal work.
struct Tiles {
  int64_t rows, columns;  // of a tile
  int64_t down, across;   // how many
  int64_t count() const { return down * across; }
};

// Of a tile whose sums are f32 before they are rounded to a half: no more memory than 4 MiB for each thread.
constexpr int64_t kMostStaged = 1 << 20;

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// One tile while a product is small, or nobody shares it; 16 when it is large: enough to share out, few
// enough that packing each tile's sides costs little. Rows are cut first, for theirs lie together. Sides are
// multiples of what the kernel's registers hold, and else as equal as can be: the slowest thread counts.
Tiles tiles_for(int64_t m, int64_t n, int64_t k, bool staged) {
  const double work =
      static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);  // multiply-adds
  const int64_t shared = work < 1e5 || is_alone() ? 1 : work < 256e6 ? 2 : work < 4e9 ? 4 : 16;
  const int64_t wanted = staged ? std::max(shared, m * n / kMostStaged) : shared;
  int64_t down = 1, across = 1;
  while (down * across < wanted) {
    if ((down < 4 || m / down >= n / across) && m / down >= 64)
      down *= 2;
    else if (n / across >= 128)
      across *= 2;
    else if (m / down >= 96)
      down *= 2;
    else
      break;
  }
  Tiles t{};
  t.rows = std::min(m, round_up((m + down - 1) / down, 8));
  t.columns = std::min(n, round_up((n + across - 1) / across, 16));
  // The last tile takes along what is too little for a tile.
  const auto count = [](int64_t size, int64_t step) {
    return std::max<int64_t>(1, (size + step - kFewestInProduct) / step);
  };
  t.down = count(m, t.rows);
  t.across = count(n, t.columns);
  return t;
}

struct Matrix {
  std::byte* data;
  int64_t rows, columns, item;  // strides in elements; bytes
  std::byte* at(int64_t i, int64_t j) const { return data + (i * rows + j * columns) * item; }
  // The kernel wants one stride to be 1 exactly, also where an axis of size 1 makes it meaningless.
  GemmOperand operand(int64_t i, int64_t j, int64_t height, int64_t width) const {
    const bool unit_columns = columns == 1 || width == 1, unit_rows = rows == 1 || height == 1;
    if (columns == 1 || !unit_rows) return {at(i, j), std::max<int64_t>(rows, 1), 1};
    if (rows == 1) return {at(i, j), 1, std::max<int64_t>(columns, 1)};
    if (unit_columns) return {at(i, j), std::max<int64_t>(rows, 1), 1};
    return {at(i, j), 1, std::max<int64_t>(columns, 1)};
  }
};

}  // namespace

void drive_matmul(const View& a, const View& b, const View& out) {
  const int r = out.rank();
  const int64_t m = out.shape[r - 2], n = out.shape[r - 1], k = a.shape[r - 1];
  const View starts[3] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  const Space batch(starts[0].shape, Views(starts, 3), {});
  if (out.numel() == 0) return;
  if (k == 0) {             // sums of nothing; the kernel's blocking would divide by it
    const double zero = 0;  // of all bits zero in each dtype
    return drive_fill(out, &zero);
  }
  const auto dtype = static_cast<size_t>(out.dtype);
  const Gemm gemm = kernels().gemm[dtype];
  const StoreLoop rounded = kernels().store[static_cast<size_t>(Compute::f32)][dtype];
  const bool staged = is_half(out.dtype);
  const Tiles tiles = tiles_for(m, n, k, staged);
  const auto item = static_cast<int64_t>(size_of(out.dtype));
  const auto matrix = [&](int i, const View& v, int64_t index) {
    const Operand& o = batch.operand(i);
    return Matrix{o.at(batch.offset(o, index)), v.strides[r - 2], v.strides[r - 1], item};
  };
  parallel(batch.total() * tiles.count(), [&](int64_t task) {
    const int64_t index = task / tiles.count(), tile = task % tiles.count();
    const int64_t row = tile / tiles.across, column = tile % tiles.across;
    const int64_t i = row * tiles.rows, height = row == tiles.down - 1 ? m - i : tiles.rows;
    const int64_t j = column * tiles.columns, width = column == tiles.across - 1 ? n - j : tiles.columns;
    const Matrix y = matrix(2, out, index);
    const size_t stage = staged ? static_cast<size_t>(round_up(height * width, 16)) * sizeof(float) : 0;
    std::byte* const room = workspace(stage + gemm.workspace(height, width, k));
    void* const c = staged ? room : y.at(i, j);
    gemm.run(height, width, k, matrix(0, a, index).operand(i, 0, height, k),
             matrix(1, b, index).operand(0, j, k, width), c, staged ? width : std::max<int64_t>(y.rows, 1),
             room + stage);
    for (int64_t line = 0; staged && line < height; ++line)
      rounded(static_cast<const float*>(c) + line * width, y.at(i + line, j), 1, width);
  });
}

}  // namespace varve::cpu
