// Pointwise functions, copies and fills: chunks of 512 elements, gathered or converted only where they must
// be.
#include <cstring>

#include <varve/core/cpu/drivers.h>
#include <varve/core/cpu/level.h>
#include <varve/core/cpu/space.h>
#include <varve/core/cpu/threads.h>

namespace varve::cpu {
namespace {

constexpr int64_t kChunksPerTask = 8;  // 4,096 elements: some microseconds

// Where chunks begin. Long rows are cut along the inner axis, so that what is contiguous there is used in
// place; short rows are taken several at a time.
struct Chunks {
  int64_t per_row, rows, inner, total;

  explicit Chunks(const Space& space) {
    const bool long_rows = space.inner() >= kChunk / 4;
    inner = long_rows ? space.inner() : space.total();
    per_row = (inner + kChunk - 1) / kChunk;
    rows = inner ? space.total() / inner : 0;
    total = per_row * rows;
  }
  int64_t first(int64_t chunk) const { return chunk / per_row * inner + chunk % per_row * kChunk; }
  int64_t count(int64_t chunk) const { return std::min(kChunk, inner - chunk % per_row * kChunk); }
};

template <class F>
void for_each_chunk(const Space& space, F&& body) {
  const Chunks chunks(space);
  parallel((chunks.total + kChunksPerTask - 1) / kChunksPerTask, [&](int64_t task) {
    const int64_t end = std::min(chunks.total, (task + 1) * kChunksPerTask);
    for (int64_t c = task * kChunksPerTask; c < end; ++c) body(chunks.first(c), chunks.count(c));
  });
}

bool all_broadcast(const Space& space, const Operand& o) {
  return std::all_of(o.strides.begin(), o.strides.begin() + space.rank(), [](int64_t s) { return s == 0; });
}

}  // namespace

void drive_pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) {
  const Space space(out[0].shape, in, out);
  if (space.total() == 0) return;
  const Compute c = compute_of(out[0].dtype == DType::boolean ? in.back().dtype : out[0].dtype);
  const Kernels& k = kernels();
  const PointwiseLoop loop = k.pointwise[static_cast<size_t>(fn)][static_cast<size_t>(c)];
  const int ins = static_cast<int>(in.size()), outs = static_cast<int>(out.size());
  const int64_t width = std::min(kChunk, space.total());

  // A scalar operand becomes a row once; the tasks share it.
  constexpr int kMaxScalars = 4;
  alignas(64) std::byte scalar_rows[kMaxScalars][kChunk * 8];
  const void* scalars[kMaxOperands] = {};
  for (int i = 0, found = 0; i < ins && found < kMaxScalars && space.total() > 1; ++i) {
    const Operand& o = space.operand(i);
    if (!all_broadcast(space, o)) continue;
    scalars[i] = scalar_rows[found];
    k.load[static_cast<size_t>(o.dtype)][static_cast<size_t>(c)](o.data, 0, scalar_rows[found++], width);
  }

  for_each_chunk(space, [&](int64_t first, int64_t n) {
    alignas(64) std::byte stage[kMaxOperands][kChunk * 8];
    const void* x[kMaxOperands];
    void* y[kMaxOperands];
    for (int i = 0; i < ins; ++i)
      x[i] = scalars[i] ? scalars[i] : loaded(k, space, space.operand(i), c, first, n, stage[i]);
    for (int i = 0; i < outs; ++i) y[i] = target(space, space.operand(ins + i), c, first, n, stage[ins + i]);
    loop(x, y, n, constants.data());
    for (int i = 0; i < outs; ++i) stored(k, space, space.operand(ins + i), c, first, n, y[i]);
  });
}

void drive_copy(const View& in, const View& out) {
  const Space space(out.shape, Views(&in, 1), Views(&out, 1));
  if (space.total() == 0) return;
  const Kernels& k = kernels();
  const Operand &from = space.operand(0), &to = space.operand(1);
  const bool plain = in.dtype == out.dtype;
  const Compute c = compute_of(in.dtype);
  for_each_chunk(space, [&](int64_t first, int64_t n) {
    const bool rows = space.inner_stride(from) == 1 && space.inner_stride(to) == 1;
    if (plain && rows) {
      for_each_run(space, from, first, n, [&](int64_t offset, int64_t done, int64_t count) {
        std::memcpy(to.at(space.offset(to, first + done)), from.at(offset),
                    static_cast<size_t>(count * from.item));
      });
      return;
    }
    alignas(64) std::byte stage[kChunk * 8];
    const void* x = loaded(k, space, from, c, first, n, stage);
    const StoreLoop store = k.store[static_cast<size_t>(c)][static_cast<size_t>(out.dtype)];
    const auto width = static_cast<int64_t>(size_of(dtype_of_compute(c)));
    for_each_run(space, to, first, n, [&](int64_t offset, int64_t done, int64_t count) {
      store(static_cast<const std::byte*>(x) + done * width, to.at(offset), space.inner_stride(to), count);
    });
  });
}

void drive_fill(const View& out, const void* element) {
  alignas(8) std::byte value[8];
  std::memcpy(value, element, size_of(out.dtype));
  drive_copy(expanded({value, out.dtype, {}, {}}, out.shape), out);
}

}  // namespace varve::cpu
