// NamedTensors: an ordered list of (name, tensor), what state dicts and files are made of.
#pragma once

#include <functional>
#include <span>
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

// A tensor of a state dict before it is loaded.
struct NamedSpec {
  std::string name;
  Spec spec;
  std::string_view carried = {};  // a kind that core has no dtype for
  // Whether a tensor like `required` can be filled from it; with `cast`, dtypes may differ.
  bool fits(const Spec& required, bool cast) const {
    return carried.empty() && spec.shape == required.shape && (cast || spec.dtype == required.dtype);
  }
};

// What a loading found to differ from what was required; empty lists mean nothing.
struct LoadReport {
  std::vector<std::string> missing, unexpected;
  std::vector<std::string> misshapen;  // "name: found f32[3], required f32[4]"
  std::string advice;                  // the likely remedy, where there is one
  bool clean() const { return missing.empty() && unexpected.empty() && misshapen.empty(); }
};
VARVE_API std::string to_string(const LoadReport& report);

// Compares by name; with `cast`, dtypes may differ.
VARVE_API LoadReport compare(std::span<const NamedSpec> found, std::span<const NamedSpec> required,
                             bool cast = false);
// An Error unless what two names of one target are to become agrees.
VARVE_API void require_tied(const std::string& name, const Tensor& value, const std::string& alias,
                            const Tensor& other);
// An Error where what is to be filled is broadcast.
VARVE_API void require_writable(const std::string& name, const Tensor& target);
// An Error that lists every difference, if there is one.
VARVE_API void require_clean(const LoadReport& report);

// Copies `source` into the tensors of `target` that have its names. Strict: an Error lists every difference,
// and nothing is written. Not strict: what fits is written and the rest reported.
VARVE_API LoadReport load_into(const NamedTensors& target, const NamedTensors& source, bool strict = true);

// A loading that was checked: nothing has changed yet, and calling `commit`, once, does not fail. So several
// states are loaded together or not at all.
struct StagedLoad {
  LoadReport report;
  std::function<void()> commit;
};
VARVE_API StagedLoad stage_load(const NamedTensors& target, const NamedTensors& source, bool strict = true);

}  // namespace varve
