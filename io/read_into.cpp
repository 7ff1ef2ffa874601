// From a file straight into tensors: once to verify, once to copy, so that damage leaves them as they were.
// What is for another device is read once, into memory of its own there, and copied when all of it is right.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/record.h>
#include <varve/io/loading.h>
#include <varve/io/reader.h>
#include <varve/io/sharing.h>

namespace varve::io {
namespace {

// From the file to a tensor.
struct Copy {
  const TensorEntry* from;
  Tensor to;
};

// A copy in pieces, its axes in the order in which they lie in the file. It is dense there if `from` is then
// row-major.
struct Pieces {
  View from;       // its data is nothing
  View to;         // of at least one axis
  int64_t offset;  // of `from` in its storage
  explicit Pieces(const Copy& c) : offset(c.from->offset) {
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
  bool are_dense() const { return is_contiguous(from); }
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
void copy_part(const Pieces& t, uint64_t at, std::span<const std::byte> chunk) {
  const auto size = static_cast<int64_t>(size_of(t.from.dtype)), first = static_cast<int64_t>(at);
  const int64_t begin = std::max(t.offset, first);
  const int64_t end = std::min(t.offset + t.from.numel() * size, first + static_cast<int64_t>(chunk.size()));
  if (begin >= end) return;
  copy_range(t.to, (begin - t.offset) / size, (end - t.offset) / size, chunk.data() + (begin - first),
             t.from.dtype);
}

// How the copies are done: in pieces, in any order and by all threads, or one after the other, from storages
// in memory, where the file has gaps or several write to one place.
struct Ways {
  std::map<size_t, std::vector<Pieces>> pieces;  // by storage
  std::vector<Copy> whole;
};

Ways ways_of(const std::vector<Copy>& copies) {
  Ways out;
  std::vector<ValuePtr> targets;
  for (const Copy& c : copies) targets.push_back(c.to.value_ptr());
  std::vector<size_t> order;
  std::vector<bool> alone(copies.size());
  for (const auto group : sharing(targets, order)) alone[group[0]] = group.size() == 1;
  for (size_t i = 0; i < copies.size(); ++i) {
    if (Pieces pieces(copies[i]); alone[i] && pieces.are_dense())
      out.pieces[copies[i].from->storage].push_back(std::move(pieces));
    else
      out.whole.push_back(copies[i]);
  }
  return out;
}

// Copies to a device, from storages of its own; or where it has no room for them, from the host's, by way of
// room for the largest. What can fail is done before anything is written.
struct Away {
  std::vector<Copy> copies;
  std::vector<std::shared_ptr<Storage>> storages;
  std::shared_ptr<Storage> room;

  void load(const Loading& loading, Backend& on) {
    std::vector<size_t> wanted;
    for (const Copy& c : copies) wanted.push_back(c.from->storage);
    try {
      storages = loading.memory(wanted, on);
    } catch (const MemoryError&) {
      storages = loading.memory(wanted, cpu_backend());
      size_t most = 0;
      for (const Copy& c : copies) most = std::max(most, source(c).spec().bytes());
      room = std::make_shared<Storage>(on, most);
    }
    loading.fill(storages);
  }
  void write(Backend& on) const {
    for (const Copy& c : copies) {
      View from = source(c).view();
      if (room) {
        const Tensor dense = clone(source(c));
        on.upload(dense.view().data, room->data(), dense.spec().bytes());
        from = contiguous_view(room->data(), dense.spec());
      }
      on.copy(from, c.to.view());
      c.to.value().storage->bump_version();
    }
  }
  Tensor source(const Copy& c) const { return tensor_of(*c.from, storages[c.from->storage]); }
};

}  // namespace

void Reader::read_into(const NamedTensors& targets) const {
  Trace::forbid_reading("load");
  std::vector<Copy> copies;
  std::vector<size_t> wanted;
  std::map<Backend*, Away> away;
  for (const auto& [name, tensor] : targets) {
    const TensorEntry& from = entry(name);
    if (from.shape != tensor.shape())
      throw ShapeError(fmt::format("load: tensor '{}' in {} has shape {}; required is {}", name,
                                   source_->name(), to_string(from.shape), to_string(tensor.shape())));
    require_writable(name, tensor);
    if (tensor.device() == kCpu) {
      copies.push_back({&from, tensor.detach()});
      wanted.push_back(from.storage);
    } else {
      away[&tensor.value().storage->backend()].copies.push_back({&from, tensor.detach()});
    }
  }
  const Loading loading(*source_, *index_);
  const Ways ways = ways_of(copies);
  std::vector<size_t> cut, kept;  // storages
  for (const auto& [storage, pieces] : ways.pieces) cut.push_back(storage);
  for (const Copy& c : ways.whole) kept.push_back(c.from->storage);
  loading.verify(wanted);
  const auto storages = loading.storages(kept);
  for (auto& [on, there] : away) there.load(loading, *on);
  // From here on only a source that fails to be read again can do harm.
  loading.each_chunk(cut, [&](size_t storage, uint64_t at, std::span<const std::byte> chunk) {
    for (const Pieces& p : ways.pieces.at(storage)) copy_part(p, at, chunk);
  });
  for (const Copy& c : ways.whole)
    cpu_backend().copy(tensor_of(*c.from, storages[c.from->storage]).view(), c.to.view());
  for (const auto& [on, there] : away) there.write(*on);
  for (const Copy& c : copies) c.to.value().storage->bump_version();
}

}  // namespace varve::io
