// From tensors to items, to groups of items that share bytes, to one block for each group.
#include <varve/io/blocks.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_map>

#include <varve/core/ops/copy.h>
#include <varve/io/extent.h>

namespace varve::io {
namespace {

struct Item {
  ValuePtr value;
  Place place;
  explicit Item(ValuePtr v) : value(std::move(v)), place(*value) {}
  const Extent& extent() const { return place.extent; }
};
using Items = std::vector<Item>;
using Group = std::span<const size_t>;  // of items that overlap, ascending

int64_t bytes_of(const Value& v) { return static_cast<int64_t>(v.spec().bytes()); }

ValuePtr copied(const Value& v) {
  ValuePtr copy = make_value(v.storage->backend(), v.spec());
  v.storage->backend().copy(v.view(), copy->view());
  return copy;
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

// The items to store. One without elements has memory of its own, for it shares none. Broadcast ones are
// spread out, so that no file asks for more memory than it has bytes; what is one value stays one.
Items items_of(const NamedTensors& tensors) {
  Items items;
  items.reserve(tensors.size());
  std::unordered_map<const Value*, ValuePtr> spread;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined()) throw Error(fmt::format("save: tensor '{}' is undefined; leave it out", name));
    if (tensor.device() != kCpu)
      throw DeviceError(
          fmt::format("save: tensor '{}' is on {}; move it to the CPU", name, to_string(tensor.device())));
    const Value& v = tensor.value();
    const bool empty = tensor.numel() == 0;
    Item item(std::make_shared<const Value>(
        Value{empty ? std::make_shared<Storage>(cpu_backend(), size_t{0}) : v.storage, empty ? 0 : v.offset,
              v.dtype, v.shape, plain_strides(v.shape, v.strides)}));
    if (item.extent().bytes() < bytes_of(v)) {
      const auto [at, is_new] = spread.try_emplace(&v);
      if (is_new) at->second = copied(v);
      item = Item(at->second);
    }
    items.push_back(std::move(item));
  }
  return items;
}

// From the first byte of a group to its last, begun where every element is aligned.
Extent extent_of(Group group, const Items& items) {
  Extent all = items[group[0]].extent();
  int64_t alignment = 1;
  for (const size_t i : group) {
    all = {std::min(all.low, items[i].extent().low), std::max(all.high, items[i].extent().high)};
    alignment = std::max(alignment, static_cast<int64_t>(size_of(items[i].value->dtype)));
  }
  all.low -= all.low % alignment;
  return all;
}

bool are_one_view(Group group, const Items& items) {
  return std::all_of(group.begin(), group.end(),
                     [&](size_t i) { return same_view(*items[i].value, *items[group[0]].value); });
}

// Whether one of the group's tensors has every byte that any has.
bool is_spanned(Group group, const Items& items, const Extent& all) {
  return std::any_of(group.begin(), group.end(), [&](size_t i) {
    return items[i].extent().low == all.low && items[i].extent().high == all.high &&
           is_dense(*items[i].value);
  });
}

// Classes of numbers, joined one by one; the smallest number of a class stands for it.
class Classes {
 public:
  explicit Classes(size_t count) : next_(count) { std::iota(next_.begin(), next_.end(), size_t{0}); }
  size_t of(size_t i) {
    while (next_[i] != i) i = next_[i] = next_[next_[i]];
    return i;
  }
  void join(size_t a, size_t b) {
    a = of(a), b = of(b);
    next_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> next_;
};

// Which items share a byte: each paints its elements with its number, and meets who was there before.
Classes painted(Group group, const Items& items, const Extent& all) {
  const auto size = [&](size_t i) { return static_cast<int64_t>(size_of(items[i].value->dtype)); };
  int64_t unit = size(group[0]);
  for (const size_t i : group) unit = std::min(unit, size(i));
  std::vector<uint32_t> canvas(static_cast<size_t>(all.bytes() / unit)), there;
  Classes classes(group.size());
  for (uint32_t k = 0; k < group.size(); ++k) {
    const Value& v = *items[group[k]].value;
    const int64_t units = size(group[k]) / unit;
    Strides strides = v.strides;
    for (int axis = 0; axis < strides.rank(); ++axis) strides[axis] *= units;
    there.resize(static_cast<size_t>(numel(v.shape)));
    const uint32_t color = k + 1;
    for (int64_t u = 0; u < units; ++u) {
      const View at{canvas.data() + (v.offset - all.low) / unit + u, DType::u32, v.shape, strides};
      cpu_backend().copy(at, contiguous_view(there.data(), at.spec()));
      for (const uint32_t other : there)
        if (other) classes.join(other - 1, k);
      cpu_backend().fill(at, &color);
    }
  }
  return classes;
}

// Items whose extents overlap, ascending, cut into groups that share no byte with each other.
void add_groups(std::span<size_t> run, const Items& items, std::vector<Group>& groups) {
  const Extent all = extent_of(run, items);
  if (are_one_view(run, items) || is_spanned(run, items, all)) {
    groups.emplace_back(run);
    return;
  }
  Classes classes = painted(run, items, all);
  std::vector<std::pair<size_t, size_t>> by_class;
  for (size_t k = 0; k < run.size(); ++k) by_class.emplace_back(classes.of(k), run[k]);
  std::sort(by_class.begin(), by_class.end());
  size_t begin = 0;
  for (size_t k = 0; k < run.size(); ++k) {
    run[k] = by_class[k].second;
    if (k + 1 < run.size() && by_class[k + 1].first == by_class[k].first) continue;
    groups.emplace_back(run.subspan(begin, k + 1 - begin));
    begin = k + 1;
  }
}

// Groups in the order of their first items, whatever the addresses are; their numbers lie in `order`.
std::vector<Group> groups_of(const Items& items, std::vector<size_t>& order) {
  std::vector<Place> places;
  places.reserve(items.size());
  for (const Item& item : items) places.push_back(item.place);
  std::vector<Group> groups;
  for (const auto run : overlapping(places, order)) {
    std::sort(run.begin(), run.end());
    add_groups(run, items, groups);
  }
  std::sort(groups.begin(), groups.end(), [](Group a, Group b) { return a.front() < b.front(); });
  return groups;
}

// The group's tensors in zeroed memory of their own, laid out as they are.
std::shared_ptr<Storage> staged(Group group, const Items& items, const Extent& all) {
  Backend& cpu = cpu_backend();
  auto storage = std::make_shared<Storage>(cpu, static_cast<size_t>(all.bytes()));
  std::memset(storage->data(), 0, storage->bytes());
  for (const size_t i : group) {
    const Value& v = *items[i].value;
    cpu.copy(v.view(), {storage->data() + v.offset - all.low, v.dtype, v.shape, v.strides});
  }
  return storage;
}

Block block_of(Group group, Items& items, Extent& all) {
  if (all.bytes() > 0 && !is_spanned(group, items, all)) {
    if (!are_one_view(group, items)) {
      auto storage = staged(group, items, all);
      return {storage, {storage->data(), storage->bytes()}};
    }
    const Item copy(copied(*items[group[0]].value));
    for (const size_t i : group) items[i] = copy;
    all = copy.extent();
  }
  const auto& storage = items[group[0]].value->storage;
  return {storage, {storage->data() + all.low, static_cast<size_t>(all.bytes())}};
}

}  // namespace

bool same_view(const Value& a, const Value& b) {
  return a.storage == b.storage && a.offset == b.offset && a.spec() == b.spec() && a.strides == b.strides;
}

Blocks blocks_of(const NamedTensors& tensors) {
  Items items = items_of(tensors);
  std::vector<size_t> order;
  Blocks out;
  out.placements.resize(items.size());
  for (const Group group : groups_of(items, order)) {
    Extent all = extent_of(group, items);
    out.blocks.push_back(block_of(group, items, all));
    for (const size_t i : group) {
      const Value& v = *items[i].value;
      out.placements[i] = {out.blocks.size() - 1, v.offset - all.low, v.dtype, v.shape, v.strides};
    }
  }
  return out;
}

}  // namespace varve::io
