// From a file straight into tensors: once to verify, once to copy, so that damage leaves them as they were.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/record.h>
#include <varve/io/extent.h>
#include <varve/io/loading.h>
#include <varve/io/reader.h>

namespace varve::io {
namespace {

struct Copy {
  const TensorEntry* from;
  Tensor to;
};

// Where a tensor is read to, its axes in the order in which they lie in the file. A tensor is dense there if
// it is then row-major.
struct Target {
  View from;       // its data is nothing
  View to;         // of at least one axis
  int64_t offset;  // of `from` in its storage
  explicit Target(const Copy& c) : offset(c.from->offset) {
    std::vector<int> order(static_cast<size_t>(c.from->shape.rank()));
    std::iota(order.begin(), order.end(), 0);
    const Strides& strides = c.from->strides;
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return strides[a] > strides[b]; });
    const View all = c.to.view();
    from.dtype = *info_of(c.from->element)->dtype;
    to.data = all.data, to.dtype = all.dtype;
    for (const int axis : order) {
      from.shape.push_back(c.from->shape[axis]), from.strides.push_back(strides[axis]);
      to.shape.push_back(all.shape[axis]), to.strides.push_back(all.strides[axis]);
    }
    if (is_contiguous(to)) to = contiguous_view(to.data, {to.dtype, {to.numel()}});
  }
  // Whether it can be filled in pieces, in any order: it is dense in the file, and no two of its elements go
  // to one place.
  bool is_fillable() const {
    for (int i = 0; i < to.rank(); ++i)
      if (to.strides[i] == 0 && to.shape[i] > 1) return false;
    return is_contiguous(from);
  }
};

// Elements [begin, end) of `to`, from where they lie in a row: whole rows at once, parts of one by recursion.
void copy_range(const View& to, int64_t begin, int64_t end, const std::byte* from, DType dtype) {
  const int64_t row = to.numel() / to.shape[0];
  while (begin < end) {
    const int64_t i = begin / row, within = begin % row, rows = (end - begin) / row;
    View part = to.at(i * to.strides[0]);
    int64_t count = rows * row;
    if (within == 0 && rows > 0) {
      part.shape[0] = rows;
      cpu_backend().copy(contiguous_view(const_cast<std::byte*>(from), {dtype, part.shape}), part);
    } else {
      count = std::min(end, (i + 1) * row) - begin;
      part.shape.erase(0), part.strides.erase(0);
      copy_range(part, within, within + count, from, dtype);
    }
    begin += count;
    from += count * static_cast<int64_t>(size_of(dtype));
  }
}

// The elements that a chunk, at `at` in its storage, has of a dense tensor.
void copy_part(const Target& t, uint64_t at, std::span<const std::byte> chunk) {
  const auto size = static_cast<int64_t>(size_of(t.from.dtype)), first = static_cast<int64_t>(at);
  const int64_t begin = std::max(t.offset, first);
  const int64_t end = std::min(t.offset + t.from.numel() * size, first + static_cast<int64_t>(chunk.size()));
  if (begin >= end) return;
  copy_range(t.to, (begin - t.offset) / size, (end - t.offset) / size, chunk.data() + (begin - first),
             t.from.dtype);
}

// Which copies may write where another one does. They are done in turn.
std::vector<bool> contended(const std::vector<Copy>& copies) {
  std::vector<Place> places;
  for (const Copy& c : copies) places.emplace_back(c.to.value());
  std::vector<bool> out(copies.size());
  std::vector<size_t> order;
  for (const auto run : overlapping(places, order))
    for (const size_t i : run) out[i] = run.size() > 1;
  return out;
}

}  // namespace

void Reader::read_into(const NamedTensors& targets) const {
  Trace::forbid_reading("load");
  std::vector<Copy> copies;
  std::vector<size_t> wanted;
  for (const auto& [name, tensor] : targets) {
    const TensorEntry& from = entry(name);
    if (from.shape != tensor.shape())
      throw ShapeError(fmt::format("load: tensor '{}' in {} has shape {}; required is {}", name,
                                   source_->name(), to_string(from.shape), to_string(tensor.shape())));
    copies.push_back({&from, tensor});
    wanted.push_back(from.storage);
  }
  const Loading loading(*source_, *index_);
  loading.verify(wanted);

  std::vector<std::vector<Target>> in_pieces(index_->storages.size());  // by storage
  std::vector<Copy> in_turn;
  std::vector<size_t> cut, whole;  // storages
  const std::vector<bool> wait = contended(copies);
  for (size_t i = 0; i < copies.size(); ++i) {
    const size_t storage = copies[i].from->storage;
    if (const Target target(copies[i]); target.is_fillable() && !wait[i])
      in_pieces[storage].push_back(target), cut.push_back(storage);
    else
      in_turn.push_back(copies[i]), whole.push_back(storage);
  }
  loading.each_chunk(cut, [&](size_t storage, uint64_t at, std::span<const std::byte> chunk) {
    for (const Target& t : in_pieces[storage]) copy_part(t, at, chunk);
  });
  const auto storages = loading.storages(whole);
  const NoGrad guard;
  for (const Copy& c : in_turn)
    c.to.assign(cast(tensor_of(*c.from, storages[c.from->storage]), c.to.dtype()));
  for (const Copy& c : copies) c.to.value().storage->bump_version();
}

}  // namespace varve::io
