// Reductions. The reduced elements of an output are cut into segments by number alone; each segment folds
// pieces in order, and the segments are folded in order: one tree, whoever computes its parts.
#include <varve/core/cpu/drivers.h>
#include <varve/core/cpu/level.h>
#include <varve/core/cpu/space.h>
#include <varve/core/cpu/threads.h>
#include <varve/core/cpu/workspace.h>
#include <varve/core/ops/copy.h>

namespace varve::cpu {
namespace {

constexpr int64_t kPiece = 2048;     // elements of a row folded by one call
constexpr int64_t kSegment = 65536;  // elements of a row folded in turn
constexpr int64_t kRows = 128;       // rows folded in turn, column by column

// Some of a space's axes.
struct AxisList {
  int rank = 0;
  std::array<int64_t, kMaxRank> size{}, in{}, out{};
  int64_t total = 1;

  void add(const Space& space, int axis) {
    size[rank] = space.size(axis);
    in[rank] = space.operand(0).strides[axis];
    out[rank] = space.operand(1).strides[axis];
    total *= size[rank++];
  }
  int64_t offset(const std::array<int64_t, kMaxRank>& strides, int64_t index) const {
    int64_t at = 0;
    for (int axis = rank; axis-- > 0; index /= size[axis]) at += index % size[axis] * strides[axis];
    return at;
  }
};

class Reduction {
 public:
  Reduction(ReduceFn fn, const Space& space)
      : k_(kernels()),
        c_(compute_of(space.operand(0).dtype)),
        loops_(k_.reduce[static_cast<size_t>(fn)][static_cast<size_t>(c_)]),
        in_(space.operand(0)),
        out_(space.operand(1)),
        item_(static_cast<int64_t>(size_of(dtype_of_compute(c_)))) {
    for (int axis = 0; axis < space.rank(); ++axis)
      (out_.strides[axis] == 0 ? reduced_ : kept_).add(space, axis);
    by_column_ = space.rank() > 0 && out_.strides[space.rank() - 1] != 0;
    if (by_column_) {  // the innermost kept axis is handled a block of columns at a time
      columns_ = kept_.size[kept_.rank - 1];
      width_ = std::min(columns_, kChunk / 2);
    }
    blocks_ = (columns_ + width_ - 1) / width_;
    segment_ = by_column_ ? kRows : kSegment;
    segments_ = (reduced_.total + segment_ - 1) / segment_;
  }

  void run() {
    const int64_t units = kept_.total / columns_ * blocks_ * segments_;
    const int64_t work = std::min(segment_, reduced_.total) * width_;
    const int64_t group = std::max<int64_t>(1, 2 * kTaskWork / std::max<int64_t>(work, 1));
    std::byte* partials = segments_ > 1 ? workspace(static_cast<size_t>(units * width_ * item_)) : nullptr;
    parallel((units + group - 1) / group, [&](int64_t task) {
      for (int64_t u = task * group; u < std::min(units, (task + 1) * group); ++u) {
        alignas(64) std::byte result[kChunk / 2 * 8];
        std::byte* to = partials ? partials + u * width_ * item_ : result;
        fold_segment(u / segments_, u % segments_, to);
        if (!partials) store(u, to);
      }
    });
    if (!partials) return;
    for (int64_t unit = 0; unit < units / segments_; ++unit) {
      std::byte* first = partials + unit * segments_ * width_ * item_;
      for (int64_t s = 1; s < segments_; ++s)
        loops_.columns(first + s * width_ * item_, first, count_in(unit));
      store(unit, first);
    }
  }

 private:
  // A unit is one output (by row), or one block of columns.
  int64_t count_in(int64_t unit) const { return std::min(width_, columns_ - unit % blocks_ * width_); }
  int64_t kept_index(int64_t unit) const { return unit / blocks_ * columns_ + unit % blocks_ * width_; }

  void store(int64_t unit, const std::byte* result) const {
    const int64_t stride = by_column_ ? kept_.out[kept_.rank - 1] : 1;
    const StoreLoop loop = k_.store[static_cast<size_t>(c_)][static_cast<size_t>(out_.dtype)];
    loop(result, out_.at(kept_.offset(kept_.out, kept_index(unit))), stride, count_in(unit));
  }

  const void* row_at(int64_t offset, int64_t stride, int64_t n, void* stage) const {
    if (stride == 1 && in_.dtype == dtype_of_compute(c_)) return in_.at(offset);
    k_.load[static_cast<size_t>(in_.dtype)][static_cast<size_t>(c_)](in_.at(offset), stride, stage, n);
    return stage;
  }

  void fold_segment(int64_t unit, int64_t segment, std::byte* to) const {
    const int64_t base = kept_.offset(kept_.in, kept_index(unit));
    const int64_t first = segment * segment_, last = std::min(reduced_.total, first + segment_);
    alignas(64) std::byte stage[kPiece * 8];
    if (by_column_) {
      const int64_t n = count_in(unit), stride = kept_.in[kept_.rank - 1];
      for (int64_t r = first; r < last; ++r) {
        const void* x = row_at(base + reduced_.offset(reduced_.in, r), stride, n, stage);
        if (r == first)
          std::copy_n(static_cast<const std::byte*>(x), n * item_, to);
        else
          loops_.columns(x, to, n);
      }
      return;
    }
    const int64_t inner = reduced_.rank ? reduced_.size[reduced_.rank - 1] : 1;
    const int64_t stride = reduced_.rank ? reduced_.in[reduced_.rank - 1] : 1;
    alignas(64) std::byte partial[8];
    for (int64_t r = first; r < last;) {
      const int64_t n = std::min({kPiece, inner - r % inner, last - r});
      const void* x = row_at(base + reduced_.offset(reduced_.in, r), stride, n, stage);
      loops_.row(x, n, r == first ? to : partial);
      if (r != first) loops_.columns(partial, to, 1);
      r += n;
    }
  }

  const Kernels& k_;
  Compute c_;
  ReduceLoops loops_;
  const Operand &in_, &out_;
  int64_t item_;
  AxisList kept_, reduced_;
  bool by_column_ = false;
  int64_t columns_ = 1, width_ = 1, blocks_ = 1, segment_ = 1, segments_ = 1;
};

}  // namespace

void drive_reduce(ReduceFn fn, const View& in, const View& out) {
  if (out.numel() == 0) return;
  if (in.numel() == 0) {
    alignas(8) std::byte identity[8];
    write_element(out.dtype, fn == ReduceFn::prod ? 1 : 0, identity);
    return drive_fill(out, identity);
  }
  const View spread = expanded(out, in.shape);
  const Space space(in.shape, Views(&in, 1), Views(&spread, 1));
  Reduction(fn, space).run();
}

}  // namespace varve::cpu
