// NamedTensors: an ordered list of (name, tensor), what state dicts and files are made of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <varve/core/tensor.h>

namespace varve {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

class NamedTensors : public std::vector<NamedTensor> {
 public:
  using std::vector<NamedTensor>::vector;
  void add(std::string name, Tensor tensor) { push_back({std::move(name), std::move(tensor)}); }
  const Tensor* find(std::string_view name) const {
    for (const NamedTensor& entry : *this)
      if (entry.name == name) return &entry.tensor;
    return nullptr;
  }
};

// What a loading found to differ from what was expected; empty lists mean nothing.
struct LoadReport {
  std::vector<std::string> missing, unexpected,
      misshapen;  // misshapen: "name: found f32[3], required f32[4]"
  bool clean() const { return missing.empty() && unexpected.empty() && misshapen.empty(); }
};
VARVE_API std::string to_string(const LoadReport& report);

// Copies `source` into the tensors of `target` that have its names. Strict: an Error lists every difference,
// and nothing is written. Not strict: what fits is written and the rest reported.
VARVE_API LoadReport load_into(const NamedTensors& target, const NamedTensors& source, bool strict = true);

}  // namespace varve
