#include <varve/core/named_tensors.h>

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

#include <varve/core/ops/copy.h>
#include <varve/core/record.h>

namespace varve {
namespace {

std::string section(const char* title, const std::vector<std::string>& names) {
  return names.empty() ? "" : fmt::format("\n  {} ({}): {}", title, names.size(), fmt::join(names, ", "));
}

std::string spec_text(const Tensor& t) {
  return fmt::format("{}{}", name_of(t.dtype()), to_string(t.shape()));
}

}  // namespace

std::string to_string(const LoadReport& report) {
  return section("missing", report.missing) + section("unexpected", report.unexpected) +
         section("misshapen", report.misshapen);
}

LoadReport load_into(const NamedTensors& target, const NamedTensors& source, bool strict) {
  std::unordered_map<std::string_view, const Tensor*> given;
  LoadReport report;
  for (const NamedTensor& s : source)
    if (!given.emplace(s.name, &s.tensor).second)
      throw Error(fmt::format("load_state_dict: '{}' is given twice", s.name));
  std::vector<std::pair<const Tensor*, const Tensor*>> copies;
  std::unordered_set<const Storage*> written;
  for (const NamedTensor& t : target) {
    const auto found = given.find(t.name);
    if (found == given.end()) {
      report.missing.push_back(t.name);
      continue;
    }
    const Tensor& s = *found->second;
    if (s.spec() != t.tensor.spec())
      report.misshapen.push_back(
          fmt::format("{}: found {}, required {}", t.name, spec_text(s), spec_text(t.tensor)));
    else
      copies.emplace_back(&t.tensor, &s), written.insert(t.tensor.value().storage.get());
    given.erase(found);
  }
  for (const NamedTensor& s : source)
    if (given.count(s.name)) report.unexpected.push_back(s.name);
  if (strict && !report.clean())
    throw Error(
        fmt::format("load_state_dict: names or shapes differ; nothing was loaded{}", to_string(report)));
  const NoGrad guard;
  // A source that shares memory with a target is read before any of it is written.
  Tensors sources;
  for (const auto& [to, from] : copies)
    sources.push_back(written.count(from->value().storage.get()) ? clone(from->detach()) : from->detach());
  for (size_t i = 0; i < copies.size(); ++i) copies[i].first->assign(sources[i]);
  return report;
}

}  // namespace varve
