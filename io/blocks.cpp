// From tensors to items, to groups of items that share bytes, to one block for each group.
#include <varve/io/blocks.h>

#include <fmt/format.h>

#include <algorithm>

#include <varve/core/ops/copy.h>
#include <varve/io/extent.h>
#include <varve/io/sharing.h>

namespace varve::io {
namespace {

using Items = std::vector<ValuePtr>;    // what is stored of each tensor
using Group = std::span<const size_t>;  // of items that share bytes, ascending

ValuePtr copied(const Value& v) {
  ValuePtr copy = make_value(v.storage->backend(), v.spec());
  v.storage->backend().copy(v.view(), copy->view());
  return copy;
}

// One without elements has memory of its own, for it shares none. One whose axes do not nest, as where
// elements are repeated, is spread out, so that no file asks for more memory than it has bytes; `spread` has
// those.
ValuePtr item_of(const NamedTensor& named, ByView<ValuePtr>& spread) {
  const auto& [name, tensor] = named;
  if (!tensor.defined()) throw Error(fmt::format("save: tensor '{}' is undefined; leave it out", name));
  const Value& v = tensor.value();
  if (!is_nested(v.shape, v.strides)) {
    ValuePtr& copy = spread[&v];
    if (!copy) copy = copied(v);
    return copy;
  }
  const Strides strides = plain_strides(v.shape, v.strides);
  if (tensor.numel() == 0) {
    auto storage = std::make_shared<Storage>(cpu_backend(), size_t{0});
    return std::make_shared<const Value>(Value{std::move(storage), 0, v.dtype, v.shape, strides});
  }
  if (strides == v.strides) return tensor.value_ptr();
  return std::make_shared<const Value>(Value{v.storage, v.offset, v.dtype, v.shape, strides});
}

// From the first byte of a group to its last, begun where every element is aligned.
Extent span_of(Group group, const Items& items) {
  Extent all = extent_of(*items[group[0]]);
  int64_t alignment = 1;
  for (const size_t i : group) {
    const Extent its = extent_of(*items[i]);
    all = {std::min(all.low, its.low), std::max(all.high, its.high)};
    alignment = std::max(alignment, static_cast<int64_t>(size_of(items[i]->dtype)));
  }
  all.low -= all.low % alignment;
  return all;
}

bool are_one_view(Group group, const Items& items) {
  return std::all_of(group.begin(), group.end(),
                     [&](size_t i) { return same_view(*items[i], *items[group[0]]); });
}

// Whether one of the group's tensors has every byte that any has.
bool is_spanned(Group group, const Items& items, const Extent& all) {
  return std::any_of(group.begin(), group.end(), [&](size_t i) {
    return extent_of(*items[i]) == all && static_cast<size_t>(all.bytes()) == items[i]->spec().bytes();
  });
}

// The group's tensors in zeroed memory of their own, laid out as they are.
std::shared_ptr<Storage> staged(Group group, const Items& items, const Extent& all) {
  Backend& on = items[group[0]]->storage->backend();
  auto storage = std::make_shared<Storage>(on, static_cast<size_t>(all.bytes()));
  constexpr std::byte kZero{};
  on.fill(contiguous_view(storage->data(), {DType::u8, {all.bytes()}}), &kZero);
  for (const size_t i : group) {
    const Value& v = *items[i];
    on.copy(v.view(), {storage->data() + v.offset - all.low, v.dtype, v.shape, v.strides});
  }
  return storage;
}

Block block_of(Group group, Items& items, Extent& all) {
  if (all.bytes() > 0 && !is_spanned(group, items, all)) {
    if (!are_one_view(group, items)) {
      auto storage = staged(group, items, all);
      return {storage, {storage->data(), storage->bytes()}};
    }
    const ValuePtr copy = copied(*items[group[0]]);
    for (const size_t i : group) items[i] = copy;
    all = extent_of(*copy);
  }
  const auto& storage = items[group[0]]->storage;
  return {storage, {storage->data() + all.low, static_cast<size_t>(all.bytes())}};
}

}  // namespace

Blocks blocks_of(const NamedTensors& tensors) {
  Items items;
  items.reserve(tensors.size());
  ByView<ValuePtr> spread;
  for (const NamedTensor& t : tensors) items.push_back(item_of(t, spread));
  Blocks out;
  out.placements.resize(items.size());
  std::vector<size_t> order;
  for (const Group group : sharing(items, order)) {
    Extent all = span_of(group, items);
    out.blocks.push_back(block_of(group, items, all));
    for (const size_t i : group) {
      const Value& v = *items[i];
      out.placements[i] = {out.blocks.size() - 1, v.offset - all.low, v.dtype, v.shape, v.strides};
    }
  }
  return out;
}

}  // namespace varve::io
