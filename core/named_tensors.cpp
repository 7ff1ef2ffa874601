#include <varve/core/named_tensors.h>

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <varve/core/ops/copy.h>
#include <varve/core/record.h>

namespace varve {
namespace {

std::string section(const char* title, const std::vector<std::string>& names) {
  return names.empty() ? "" : fmt::format("\n  {} ({}): {}", title, names.size(), fmt::join(names, ", "));
}

std::vector<NamedSpec> specs_of(const NamedTensors& tensors) {
  std::vector<NamedSpec> specs;
  for (const auto& [name, tensor] : tensors) specs.push_back({name, tensor.spec()});
  return specs;
}

std::string to_string(const NamedSpec& found) {
  return found.carried.empty() ? varve::to_string(found.spec)
                               : fmt::format("{}{}", found.carried, varve::to_string(found.spec.shape));
}

// What to put before every name of `shorter` to get a name of `longer`: nothing where that is not so.
std::string common_prefix(const std::vector<std::string>& longer, const std::vector<std::string>& shorter) {
  if (shorter.empty()) return "";
  const std::unordered_set<std::string_view> names(longer.begin(), longer.end());
  for (const std::string& name : longer) {
    if (name.size() <= shorter[0].size() || !name.ends_with(shorter[0])) continue;
    const std::string prefix = name.substr(0, name.size() - shorter[0].size());
    if (std::all_of(shorter.begin(), shorter.end(),
                    [&](const std::string& s) { return names.contains(prefix + s); }))
      return prefix;
  }
  return "";
}

std::string advice_for(const LoadReport& report) {
  if (const auto prefix = common_prefix(report.unexpected, report.missing); !prefix.empty())
    return fmt::format("the names found begin with '{}'; rename them without it", prefix);
  if (const auto prefix = common_prefix(report.missing, report.unexpected); !prefix.empty())
    return fmt::format("the names found lack '{}' at their beginning; rename them with it", prefix);
  return "";
}

}  // namespace

std::string to_string(const LoadReport& report) {
  return section("missing", report.missing) + section("unexpected", report.unexpected) +
         section("misshapen", report.misshapen) + (report.advice.empty() ? "" : "\n  " + report.advice);
}

LoadReport compare(std::span<const NamedSpec> found, std::span<const NamedSpec> required, bool cast) {
  std::unordered_map<std::string_view, const NamedSpec*> given;
  for (const NamedSpec& f : found)
    if (!given.emplace(f.name, &f).second)
      throw Error(fmt::format("load_state_dict: '{}' is given twice", f.name));
  LoadReport report;
  for (const NamedSpec& r : required) {
    const auto at = given.find(r.name);
    if (at == given.end()) {
      report.missing.push_back(r.name);
      continue;
    }
    if (!at->second->fits(r.spec, cast))
      report.misshapen.push_back(
          fmt::format("{}: found {}, required {}", r.name, to_string(*at->second), to_string(r.spec)));
    given.erase(at);
  }
  for (const NamedSpec& f : found)
    if (given.contains(f.name)) report.unexpected.push_back(f.name);
  report.advice = advice_for(report);
  return report;
}

void require_clean(const LoadReport& report) {
  if (!report.clean())
    throw Error(
        fmt::format("load_state_dict: names or shapes differ; nothing was loaded{}", to_string(report)));
}

void require_tied(const std::string& name, const Tensor& value, const std::string& alias,
                  const Tensor& other) {
  if (!identical(value, other))
    throw Error(
        fmt::format("load_state_dict: '{}' and '{}' are one tensor here, and differ in what was to be "
                    "loaded; nothing was "
                    "loaded: untie them, or leave one out and load what is not strict",
                    name, alias));
}

void require_writable(const std::string& name, const Tensor& target) {
  if (is_broadcast(target.view()))
    throw Error(
        fmt::format("load_state_dict: '{}' is broadcast, so its elements share memory and cannot be written; "
                    "nothing was loaded: copy it with clone first",
                    name));
}

StagedLoad stage_load(const NamedTensors& target, const NamedTensors& source, bool strict) {
  LoadReport report = compare(specs_of(source), specs_of(target));
  if (strict) require_clean(report);
  std::unordered_map<std::string_view, const Tensor*> given;
  for (const NamedTensor& s : source) given.emplace(s.name, &s.tensor);
  std::vector<std::pair<Tensor, Tensor>> copies;  // to, from
  ByView<const NamedTensor*> first;               // under which name each target came first
  std::unordered_set<const Storage*> written;
  for (const NamedTensor& t : target) {
    const auto found = given.find(t.name);
    if (found == given.end() || found->second->spec() != t.tensor.spec()) continue;
    const auto [owner, is_new] = first.emplace(&t.tensor.value(), &t);
    if (!is_new) {
      require_tied(owner->second->name, *given.at(owner->second->name), t.name, *found->second);
      continue;
    }
    require_writable(t.name, t.tensor);
    copies.emplace_back(t.tensor, found->second->detach());
    written.insert(t.tensor.value().storage.get());
  }
  // A source that shares memory with a target is read before any of it is written.
  for (auto& copy : copies)
    if (written.contains(copy.second.value().storage.get()))
      copy.second = no_grad([&] { return clone(copy.second); });
  return {std::move(report), [copies = std::move(copies)] {
            const NoGrad guard;
            for (const auto& [to, from] : copies) to.assign(from);
          }};
}

LoadReport load_into(const NamedTensors& target, const NamedTensors& source, bool strict) {
  StagedLoad staged = stage_load(target, source, strict);
  staged.commit();
  return std::move(staged.report);
}

}  // namespace varve
