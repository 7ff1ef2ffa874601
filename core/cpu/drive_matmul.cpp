// Matrix products, one or a batch, cut into tiles, or several small ones taken at a time, for whichever
// thread is free. How a product is cut changes no bit.
#include <varve/core/axes.h>
#include <varve/core/cpu/drivers.h>
#include <varve/core/cpu/level.h>
#include <varve/core/cpu/pieces.h>
#include <varve/core/cpu/space.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/cpu/workspace.h>

namespace varve::cpu {
namespace {

int64_t cut_up(int64_t size, int64_t step) { return (size + step - 1) / step; }
int64_t round_up(int64_t size, int64_t step) { return cut_up(size, step) * step; }

// One axis of a product cut into pieces that are as equal as multiples of what the kernel's registers hold
// can be: the slowest thread counts. The last takes along what is too little for a piece.
struct Pieces {
  int64_t size, step, count = 1;

  explicit Pieces(int64_t all) : size(all), step(all) {}
  Pieces(int64_t all, int64_t wanted, int64_t multiple)
      : size(all),
        step(std::min(all, round_up(cut_up(all, wanted), multiple))),
        count(std::max<int64_t>(1, (all + step - kFewestInProduct) / step)) {}
  int64_t first(int64_t i) const { return i * step; }
  int64_t length(int64_t i) const { return i == count - 1 ? size - first(i) : step; }
  int64_t longest() const { return std::max(step, length(count - 1)); }
};

// A product of [m, k] by [k, n], cut into tiles.
struct Cut {
  Pieces rows, columns;
  int64_t tiles() const { return rows.count * columns.count; }
};

struct Matrix {
  std::byte* data;
  int64_t rows, columns, item;  // strides in elements; bytes
  explicit Matrix(const View& v)
      : data(v.as<std::byte>()),
        rows(v.strides[v.rank() - 2]),
        columns(v.strides[v.rank() - 1]),
        item(static_cast<int64_t>(size_of(v.dtype))) {}
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

// Products of one shape, and how they are shared out.
class Products {
 public:
  Products(const View& a, const View& b, const View& out, const Space& batch)
      : a_(a),
        b_(b),
        out_(out),
        batch_(batch),
        m_(out.shape[out.rank() - 2]),
        n_(out.shape.back()),
        k_(a.shape.back()),
        staged_(is_half(out.dtype)),
        threads_(is_alone() ? 1 : threads()),
        gemm_(kernels().gemm[static_cast<size_t>(out.dtype)]),
        rounded_(kernels().store[static_cast<size_t>(Compute::f32)][static_cast<size_t>(out.dtype)]) {}

  void run() const {
    constexpr double kCall = 4096;  // multiply-adds that could be done while a small product begins
    const int64_t count = batch_.total();
    const double each = static_cast<double>(m_) * static_cast<double>(n_) * static_cast<double>(k_) + kCall;
    const double all = each * static_cast<double>(count);
    const int64_t least = pieces_for(all, threads_);
    const Cut cut = cut_for(std::min(pieces_for(each, threads_), cut_up(kMostPieces * threads_, count)));
    if (cut.tiles() > 1)
      return parallel(count * cut.tiles(),
                      [&](int64_t task) { run_tile(cut, task % cut.tiles(), task / cut.tiles(), 1); });
    const auto worth = static_cast<int64_t>(all / kPieceWork);
    const int64_t shares = least == 1 ? 1 : std::min(count, round_up(std::max<int64_t>(worth, 1), least));
    parallel(shares, [&](int64_t share) {
      const int64_t first = share * count / shares;
      run_tile(cut, 0, first, (share + 1) * count / shares - first);
    });
  }

 private:
  // Of a tile whose sums are f32 before they are rounded to a half: no more memory than 4 MiB for each
  // thread.
  static constexpr int64_t kMostStaged = 1 << 20;

  // Into about `wanted` tiles: by rows first, for theirs lie together, else so that the threads end soonest,
  // if that saves a seventh. What cannot be read where it lies is packed, or gathered, for each tile again.
  Cut cut_for(int64_t wanted) const {
    constexpr int64_t kFewestColumns = 64, kPacked = 12;  // multiply-adds that could be done meanwhile
    const int64_t tiles = staged_ ? std::max(wanted, cut_up(m_ * n_, kMostStaged)) : wanted;
    if (tiles == 1) return {Pieces(m_), Pieces(n_)};
    const int64_t row = staged_ || a_.columns != 1 ? kPacked : 0;
    const int64_t column = staged_ || b_.rows != 1 ? kPacked : 0;
    const int64_t most = std::clamp<int64_t>(m_ / kFewestInProduct, 1, tiles);
    const auto cut = [&](int64_t down) {
      const int64_t across = tiles > wanted ? cut_up(tiles, down) : tiles / down;
      return Cut{Pieces(m_, down, 8), Pieces(n_, std::clamp<int64_t>(n_ / kFewestColumns, 1, across), 16)};
    };
    const auto time = [&](const Cut& c) {
      const int64_t height = c.rows.longest(), width = c.columns.longest();
      return static_cast<double>(cut_up(batch_.total() * c.tiles(), threads_)) *
             static_cast<double>(height * width + height * row + width * column);
    };
    int64_t down = std::min<int64_t>(4, most);
    while (2 * down <= most && m_ / down * tiles >= 4 * n_ * down)
      down *= 2;  // until tiles are as wide as high
    const Cut plain = cut(down);
    Cut soonest = plain;
    for (down = most; down > 0 && wanted > 1; --down)
      if (const Cut c = cut(down); time(c) < time(soonest)) soonest = c;
    return 7 * time(soonest) < 6 * time(plain) ? soonest : plain;
  }

  // One tile of each of products first ... first + count - 1.
  void run_tile(const Cut& cut, int64_t tile, int64_t first, int64_t count) const {
    const int64_t row = tile / cut.columns.count, column = tile % cut.columns.count;
    const int64_t i = cut.rows.first(row), j = cut.columns.first(column);
    const int64_t height = cut.rows.length(row), width = cut.columns.length(column);
    const size_t stage = staged_ ? static_cast<size_t>(round_up(height * width, 16)) * sizeof(float) : 0;
    std::byte* const room = workspace(stage + gemm_.workspace(height, width, k_));
    const GemmOperand x = a_.operand(i, 0, height, k_), y = b_.operand(0, j, k_, width);
    std::byte* const z = out_.at(i, j);
    const int64_t z_rows = std::max<int64_t>(out_.rows, 1);
    for_each_run(batch_, batch_.operand(2), first, count, [&](int64_t offset, int64_t done, int64_t run) {
      int64_t at[] = {batch_.offset(batch_.operand(0), first + done),
                      batch_.offset(batch_.operand(1), first + done), offset};
      for (; run > 0; --run) {
        std::byte* const result = z + at[2] * out_.item;
        void* const c = staged_ ? room : result;
        gemm_.run(height, width, k_, moved(x, at[0] * a_.item), moved(y, at[1] * b_.item), c,
                  staged_ ? width : z_rows, room + stage);
        for (int64_t line = 0; staged_ && line < height; ++line)
          rounded_(static_cast<const float*>(c) + line * width, result + line * out_.rows * out_.item, 1,
                   width);
        for (int o = 0; o < 3; ++o) at[o] += batch_.inner_stride(batch_.operand(o));
      }
    });
  }
  static GemmOperand moved(GemmOperand x, int64_t bytes) {
    x.data = static_cast<const std::byte*>(x.data) + bytes;
    return x;
  }

  const Matrix a_, b_, out_;
  const Space& batch_;
  const int64_t m_, n_, k_;
  const bool staged_;
  const int threads_;
  const Gemm gemm_;
  const StoreLoop rounded_;
};

}  // namespace

void drive_matmul(const View& a, const View& b, const View& out) {
  if (out.numel() == 0) return;
  if (a.shape.back() == 0) {  // sums of nothing; the kernel's blocking would divide by it
    const double zero = 0;    // of all bits zero in each dtype
    return drive_fill(out, &zero);
  }
  const View starts[3] = {matrix_starts(a), matrix_starts(b), matrix_starts(out)};
  const Space batch(starts[0].shape, Views(starts, 3), {});
  Products(a, b, out, batch).run();
}

}  // namespace varve::cpu
