// From tensors to items, to groups of items that overlap, to one block for each group.
#include <varve/io/blocks.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <tuple>
#include <unordered_map>

#include <varve/core/ops/copy.h>
#include <varve/io/layout.h>

namespace varve::io {
namespace {

struct Item {
  Value value;
  Extent extent;
  explicit Item(const Value& v)
      : value(v), extent(extent_of(v.offset, static_cast<int64_t>(size_of(v.dtype)), v.shape, v.strides)) {}
};
using Group = std::vector<size_t>;  // of items that overlap, ascending

int64_t bytes_of(const Value& v) { return static_cast<int64_t>(v.spec().bytes()); }

Value copied(const Value& v) {
  const ValuePtr copy = make_value(v.storage->backend(), v.spec());
  v.storage->backend().copy(v.view(), copy->view());
  return *copy;
}

// Whether each byte of its extent belongs to exactly one element: a contiguous layout with its axes permuted.
bool is_dense(const Value& v) {
  std::vector<std::pair<int64_t, int64_t>> axes;  // step, size
  for (int i = 0; i < v.shape.rank(); ++i)
    if (v.shape[i] > 1) axes.emplace_back(std::abs(v.strides[i]), v.shape[i]);
  std::sort(axes.begin(), axes.end());
  int64_t step = 1;
  for (const auto& [stride, size] : axes) {
    if (stride != step) return false;
    step *= size;
  }
  return true;
}

// The items to store. Broadcast ones are spread out, so that no file asks for more memory than it has bytes;
// what is one value stays one.
std::vector<Item> items_of(const NamedTensors& tensors) {
  std::vector<Item> items;
  std::unordered_map<const Value*, Value> spread;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined()) throw Error(fmt::format("save: tensor '{}' is undefined; leave it out", name));
    if (tensor.device() != kCpu)
      throw DeviceError(
          fmt::format("save: tensor '{}' is on {}; move it to the CPU", name, to_string(tensor.device())));
    Item item(tensor.value());
    if (tensor.numel() == 0) {
      item.value.strides = contiguous_strides(tensor.shape());
    } else if (item.extent.bytes() < bytes_of(item.value)) {
      const auto [at, is_new] = spread.try_emplace(&tensor.value());
      if (is_new) at->second = copied(item.value);
      item = Item(at->second);
    }
    items.push_back(std::move(item));
  }
  return items;
}

// Groups in the order of their first items, whatever the addresses are.
std::vector<Group> groups_of(const std::vector<Item>& items) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto key = [&](size_t i) {
    return std::tuple(reinterpret_cast<uintptr_t>(items[i].value.storage.get()), items[i].extent.low, i);
  };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::vector<Group> groups;
  int64_t high = 0;  // of the last group
  for (const size_t i : order) {
    const bool joins = !groups.empty() && items[i].extent.low < high &&
                       items[groups.back()[0]].value.storage == items[i].value.storage;
    if (!joins) groups.emplace_back();
    groups.back().push_back(i);
    high = joins ? std::max(high, items[i].extent.high) : items[i].extent.high;
  }
  for (Group& group : groups) std::sort(group.begin(), group.end());
  std::sort(groups.begin(), groups.end());
  return groups;
}

bool same_view(const Value& a, const Value& b) {
  return a.offset == b.offset && a.spec() == b.spec() && a.strides == b.strides;
}

// From the first byte of a group to its last, begun where every element is aligned.
Extent extent_of(const Group& group, const std::vector<Item>& items) {
  Extent all = items[group[0]].extent;
  int64_t alignment = 1;
  for (const size_t i : group) {
    all = {std::min(all.low, items[i].extent.low), std::max(all.high, items[i].extent.high)};
    alignment = std::max(alignment, static_cast<int64_t>(size_of(items[i].value.dtype)));
  }
  all.low -= all.low % alignment;
  return all;
}

// The group's tensors in zeroed memory of their own, laid out as they are.
std::shared_ptr<Storage> staged(const Group& group, const std::vector<Item>& items, const Extent& all) {
  Backend& cpu = cpu_backend();
  auto storage = std::make_shared<Storage>(cpu, static_cast<size_t>(all.bytes()));
  std::memset(storage->data(), 0, storage->bytes());
  for (const size_t i : group) {
    const Value& v = items[i].value;
    cpu.copy(v.view(), {storage->data() + v.offset - all.low, v.dtype, v.shape, v.strides});
  }
  return storage;
}

Block block_of(const Group& group, std::vector<Item>& items, Extent& all) {
  const auto spans_it = [&](size_t i) {
    return items[i].extent.low == all.low && items[i].extent.high == all.high && is_dense(items[i].value);
  };
  const Value first = items[group[0]].value;
  if (all.bytes() > 0 && std::none_of(group.begin(), group.end(), spans_it)) {
    if (!std::all_of(group.begin(), group.end(),
                     [&](size_t i) { return same_view(items[i].value, first); })) {
      auto storage = staged(group, items, all);
      return {storage, {storage->data(), storage->bytes()}};
    }
    const Value copy = copied(first);
    for (const size_t i : group) items[i] = Item(copy);
    all = {0, bytes_of(copy)};
  }
  const auto& storage = items[group[0]].value.storage;
  return {storage, {storage->data() + all.low, static_cast<size_t>(all.bytes())}};
}

}  // namespace

Blocks blocks_of(const NamedTensors& tensors) {
  std::vector<Item> items = items_of(tensors);
  Blocks out;
  out.placements.resize(items.size());
  for (const Group& group : groups_of(items)) {
    Extent all = extent_of(group, items);
    out.blocks.push_back(block_of(group, items, all));
    for (const size_t i : group) {
      const Value& v = items[i].value;
      out.placements[i] = {out.blocks.size() - 1, v.offset - all.low, v.dtype, v.shape, v.strides};
    }
  }
  return out;
}

}  // namespace varve::io
