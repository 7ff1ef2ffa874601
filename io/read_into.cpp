// From a file straight into tensors: once to verify, once to copy, so that damage leaves them as they were.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include <varve/core/graph.h>
#include <varve/core/ops/copy.h>
#include <varve/core/record.h>
#include <varve/io/loading.h>
#include <varve/io/reader.h>

namespace varve::io {
namespace {

struct Copy {
  const TensorEntry* from;
  Tensor to;
};

bool is_flat(const Copy& c) {
  return c.from->strides == contiguous_strides(c.from->shape) && is_contiguous(c.to.view());
}

// The elements that a chunk, at `at` in its storage, has of a row-major tensor.
void copy_part(const Copy& c, uint64_t at, std::span<const std::byte> chunk) {
  const DType dtype = *info_of(c.from->element)->dtype;
  const auto size = static_cast<int64_t>(size_of(dtype)), first = static_cast<int64_t>(at);
  const int64_t begin = std::max(c.from->offset, first);
  const int64_t end =
      std::min(c.from->offset + c.to.numel() * size, first + static_cast<int64_t>(chunk.size()));
  if (begin >= end) return;
  const Shape count{(end - begin) / size};
  const auto view = [&](const std::byte* data, DType type) {
    return View{const_cast<std::byte*>(data), type, count, {1}};
  };
  const View to = c.to.view();
  const int64_t element = (begin - c.from->offset) / size;
  cpu_backend().copy(view(chunk.data() + (begin - first), dtype),
                     view(to.at(element).as<std::byte>(), to.dtype));
}

}  // namespace

void Reader::read_into(const NamedTensors& targets) const {
  Trace::forbid_reading("load");
  std::vector<std::vector<Copy>> flat(index_->storages.size());  // by storage
  std::vector<Copy> others;
  std::vector<size_t> wanted;
  std::unordered_set<const void*> seen;
  for (const auto& [name, tensor] : targets) {
    const TensorEntry& from = entry(name);
    if (from.shape != tensor.shape())
      throw ShapeError(fmt::format("load: tensor '{}' in {} has shape {}; required is {}", name,
                                   source_->name(), to_string(from.shape), to_string(tensor.shape())));
    const Copy copy{&from, tensor};
    // Of two targets in one place the later one wins, so it must wait.
    const bool first = seen.insert(tensor.view().data).second;
    (is_flat(copy) && first ? flat[from.storage] : others).push_back(copy);
    wanted.push_back(from.storage);
  }

  const Loading loading(*source_, *index_);
  loading.verify(wanted);
  std::vector<size_t> whole;
  for (const Copy& c : others) whole.push_back(c.from->storage);
  const auto storages = loading.storages(whole);
  std::erase_if(wanted, [&](size_t storage) { return flat[storage].empty(); });
  loading.each_chunk(wanted, [&](size_t storage, uint64_t at, std::span<const std::byte> chunk) {
    for (const Copy& c : flat[storage]) copy_part(c, at, chunk);
  });
  for (const auto& copies : flat)
    for (const Copy& c : copies) c.to.value().storage->bump_version();
  const NoGrad guard;
  for (const Copy& c : others) c.to.assign(cast(tensor_of(*c.from, storages[c.from->storage]), c.to.dtype()));
}

}  // namespace varve::io
