// varve diff A B: what differs, by name.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include <varve/core/ops/copy.h>

#include "any_file.h"
#include "commands.h"
#include "printable.h"

namespace varve::cli {
namespace {

struct Options {
  std::string a, b;
  bool json = false;
  double tolerance = 0;
};
struct Difference {
  std::string name, what;
};

// What differs between numbers, compared exactly: 64-bit integers do not go through double. NaN equals NaN.
template <class T>
std::string numbers_differ(std::span<const T> a, std::span<const T> b, double tolerance) {
  size_t count = 0;
  long double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const long double p = a[i], q = b[i];
    if (a[i] == b[i] || (std::isnan(p) && std::isnan(q))) continue;
    const long double apart = std::abs(p - q);
    if (apart <= tolerance) continue;
    ++count;
    largest = std::isnan(apart) ? HUGE_VALL : std::max(largest, apart);
  }
  return count == 0 ? ""
                    : fmt::format("{} of {} values differ, by {:.6g} at most", count, a.size(),
                                  static_cast<double>(largest));
}

// What differs between the values, or nothing.
std::string values_differ(const Tensor& a, const Tensor& b, double tolerance) {
  if (identical(a, b)) return "";
  const auto as = [&]<class T>(T) {
    const Tensor x = contiguous(cast(a, dtype_of<T>)), y = contiguous(cast(b, dtype_of<T>));
    return numbers_differ<T>(x.data<T>(), y.data<T>(), tolerance);
  };
  if (a.dtype() == DType::u64) return as(uint64_t{});
  if (!is_floating(a.dtype())) return as(int64_t{});
  const std::string what = as(double{});
  return what.empty() && tolerance == 0 ? "the same numbers in other bits" : what;
}

std::string differ(const NamedTensor& a, const NamedTensor& b, double tolerance) {
  if (a.tensor.spec() != b.tensor.spec())
    return fmt::format("{} and {}", to_string(a.tensor.spec()), to_string(b.tensor.spec()));
  return values_differ(a.tensor, b.tensor, tolerance);
}

std::string differ(const io::Carried& a, const io::Carried& b, double) {
  if (a.element != b.element || a.shape != b.shape || a.bytes->bytes() != b.bytes->bytes())
    return "kind or shape differ";
  return std::memcmp(a.bytes->data(), b.bytes->data(), a.bytes->bytes()) == 0 ? "" : "bytes differ";
}

// Those of `a` in their order, then what only `b` has.
template <class Named>
void add_differences(const std::vector<Named>& a, const std::vector<Named>& b, double tolerance,
                     std::vector<Difference>& out) {
  std::map<std::string, const Named*> of_b;
  for (const Named& t : b) of_b[t.name] = &t;
  for (const Named& t : a) {
    const auto found = of_b.find(t.name);
    if (found == of_b.end()) {
      out.push_back({t.name, "is in the first file only"});
      continue;
    }
    if (std::string what = differ(t, *found->second, tolerance); !what.empty())
      out.push_back({t.name, std::move(what)});
    of_b.erase(found);
  }
  for (const auto& entry : of_b) out.push_back({entry.first, "is in the second file only"});
}

using Ties = std::map<std::string, std::string>;

// Of each name that both files have, the first of these that shares its memory: itself if none does before.
Ties ties_of(const NamedTensors& tensors, const NamedTensors& others) {
  std::set<std::string_view> known;
  for (const NamedTensor& t : others) known.insert(t.name);
  std::map<std::string, const Storage*> sorted;
  for (const auto& [name, tensor] : tensors)
    if (known.contains(name)) sorted.emplace(name, tensor.value().storage.get());
  std::map<const Storage*, std::string> first;
  Ties out;
  for (const auto& [name, storage] : sorted) out.emplace(name, first.emplace(storage, name).first->second);
  return out;
}

void add_ties(const io::Container& a, const io::Container& b, std::vector<Difference>& out) {
  const Ties of_a = ties_of(a.tensors, b.tensors), of_b = ties_of(b.tensors, a.tensors);
  for (const auto& [name, owner] : of_a) {
    const std::string& other = of_b.at(name);
    if (owner == other) continue;
    if (other == name)
      out.push_back({name, fmt::format("shares memory with '{}' in the first file only", owner)});
    else if (owner == name)
      out.push_back({name, fmt::format("shares memory with '{}' in the second file only", other)});
    else
      out.push_back({name, fmt::format("shares memory with '{}' and with '{}'", owner, other)});
  }
}

std::vector<Difference> differences(const io::Container& a, const io::Container& b, double tolerance) {
  std::vector<Difference> out;
  if (a.kind != b.kind) out.push_back({"(kind)", fmt::format("{} and {}", a.kind, b.kind)});
  if (!(a.meta == b.meta)) out.push_back({"(meta)", "differs"});
  add_differences<NamedTensor>(a.tensors, b.tensors, tolerance, out);
  add_differences(a.carried, b.carried, tolerance, out);
  return out;
}

int diff(const Options& o) {
  const io::Container a = read_any(o.a), b = read_any(o.b);
  std::vector<Difference> found = differences(a, b, o.tolerance);
  // safetensors does not say what shares memory.
  if (!holds_safetensors(o.a) && !holds_safetensors(o.b)) add_ties(a, b, found);
  if (o.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Difference& d : found) list.push_back({{"name", d.name}, {"difference", d.what}});
    fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    for (const Difference& d : found) fmt::print("{}: {}\n", printable(d.name), printable(d.what));
  }
  return found.empty() ? 0 : 1;
}

}  // namespace

void add_diff(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("diff", "Say what differs between two files; exit with 1 if something does");
  command->add_option("a", o->a, "One file")->required();
  command->add_option("b", o->b, "The other")->required();
  command->add_flag("--json", o->json, "As JSON");
  command->add_option("--tolerance", o->tolerance, "Numbers so far apart are the same")
      ->check(CLI::NonNegativeNumber);
  command->callback([=, &chosen] { chosen = [o] { return diff(*o); }; });
}

}  // namespace varve::cli
