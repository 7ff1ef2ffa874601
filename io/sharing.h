// Which tensors share memory, byte for byte.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <varve/core/tensor.h>

namespace varve::io {

// Numbers of views in groups: those that share a byte, directly or by way of others, are in one. Numbers
// ascend in a group, and groups by their first ones. They lie in `order`, which is filled. A view whose
// elements overlap each other counts as all bytes between its ends.
VARVE_API std::vector<std::span<const size_t>> sharing(std::span<const ValuePtr> views,
                                                       std::vector<size_t>& order);

}  // namespace varve::io
