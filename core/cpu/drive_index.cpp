// Gather and scatter. Indices are checked before anything is written.
#include <cstring>

#include <varve/core/axes.h>
#include <varve/core/cpu/drivers.h>
#include <varve/core/cpu/space.h>
#include <varve/core/cpu/threads.h>

namespace varve::cpu {

void check_indices(const View& index, const IndexRange& range) {
  const View distinct = without_broadcast(index);
  const Space space(distinct.shape, Views(&distinct, 1), {});
  const Operand& o = space.operand(0);
  for_each_run(space, o, 0, space.total(), [&](int64_t offset, int64_t, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t found = index.as<const int64_t>()[offset + i * space.inner_stride(o)];
      if (!range.holds(found)) range.refuse(found);
    }
  });
}

namespace {

constexpr int64_t kGatherWork = 8192;  // elements, of rows that lie far apart

void fetch(const std::byte* data, int64_t bytes) {
  constexpr int64_t kLine = 64, kMost = 64 * kLine;
  for (int64_t i = 0; i < std::min(bytes, kMost); i += kLine) __builtin_prefetch(data + i);
}

template <class T>
T sum_of(T a, T b) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return T(static_cast<float>(a) + static_cast<float>(b));
  else
    return static_cast<T>(a + b);
}

template <class T>
void scatter_serially(const View& in, const View& index, int axis, const View& out) {
  const View views[3] = {in, index, pinned(out, axis, in.shape)};
  const Space space(in.shape, Views(views, 3), {});
  const int64_t size = out.shape[axis], step = out.strides[axis];
  const Operand &x = space.operand(0), &at = space.operand(1), &y = space.operand(2);
  const int64_t dx = space.inner_stride(x), di = space.inner_stride(at), dy = space.inner_stride(y);
  for_each_run(space, x, 0, space.total(), [&](int64_t offset, int64_t done, int64_t count) {
    const T* from = in.as<const T>() + offset;
    const int64_t* where = index.as<const int64_t>() + space.offset(at, done);
    T* to = out.as<T>() + space.offset(y, done);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t j = where[i * di];
      T& cell = to[i * dy + (j < 0 ? j + size : j) * step];
      cell = sum_of(cell, from[i * dx]);
    }
  });
}

}  // namespace

void drive_gather(const View& in, const View& index, int axis, const View& out) {
  if (out.numel() == 0) return;
  check_indices(index, {"gather", in.shape[axis]});
  const View views[3] = {pinned(in, axis, out.shape), index, out};
  const Space space(out.shape, Views(views, 3), {});
  const Operand &x = space.operand(0), &at = space.operand(1), &y = space.operand(2);
  const int64_t size = in.shape[axis], step = in.strides[axis];
  const int64_t dx = space.inner_stride(x), di = space.inner_stride(at), dy = space.inner_stride(y);
  const auto bytes = static_cast<size_t>(x.item);
  const int64_t* const indices = index.as<const int64_t>();
  const auto entry = [=](int64_t j) { return (j < 0 ? j + size : j) * step; };
  parallel((space.total() + kGatherWork - 1) / kGatherWork, [&](int64_t task) {
    const int64_t first = task * kGatherWork, n = std::min(kGatherWork, space.total() - first);
    for_each_run(space, x, first, n, [&](int64_t offset, int64_t done, int64_t count) {
      const int64_t* const where = indices + space.offset(at, first + done);
      std::byte* const to = y.at(space.offset(y, first + done));
      if (di == 0 && dx == 1 && dy == 1) {
        if (const int64_t next = first + done + count; done + count < n)  // no hardware knows where that lies
          fetch(x.at(space.offset(x, next) + entry(indices[space.offset(at, next)])), count * x.item);
        std::memcpy(to, x.at(offset + entry(*where)), bytes * static_cast<size_t>(count));
        return;
      }
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(to + i * dy * x.item, x.at(offset + i * dx + entry(where[i * di])), bytes);
    });
  });
}

void drive_scatter_add(const View& in, const View& index, int axis, const View& out) {
  if (in.numel() == 0) return;
  check_indices(index, {"scatter_add", out.shape[axis]});
  // Threads take blocks of the last axis, if that is not the one scattered along: no two write the same
  // element.
  constexpr int64_t kBlock = 256;
  const int last = in.rank() - 1;
  const bool cut = last != axis && in.numel() >= 2 * kTaskWork;
  const int64_t blocks = cut ? (in.shape[last] + kBlock - 1) / kBlock : 1;
  parallel(blocks, [&](int64_t block) {
    const auto part = [&](const View& v) {
      if (!cut) return v;
      View p = v.at(block * kBlock * v.strides[last]);
      p.shape[last] = std::min(kBlock, v.shape[last] - block * kBlock);
      return p;
    };
    dispatch(in.dtype, [&]<class T>() { scatter_serially<T>(part(in), part(index), axis, part(out)); });
  });
}

}  // namespace varve::cpu
