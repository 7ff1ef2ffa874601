// varve diff A B: what differs, by name.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include <varve/core/ops/copy.h>

#include "any_file.h"
#include "commands.h"

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

// What differs between the values, or nothing. NaN equals NaN.
std::string values_differ(const Tensor& a, const Tensor& b, double tolerance) {
  const Tensor x = contiguous(a.detach()), y = contiguous(b.detach());
  if (std::memcmp(x.view().data, y.view().data, x.spec().bytes()) == 0) return "";
  const Tensor u = cast(x, DType::f64), v = cast(y, DType::f64);
  int64_t count = 0;
  double largest = 0;
  for (size_t i = 0; i < u.data<double>().size(); ++i) {
    const double p = u.data<double>()[i], q = v.data<double>()[i];
    if (p == q || (std::isnan(p) && std::isnan(q))) continue;
    const double apart = std::abs(p - q);
    if (apart <= tolerance) continue;
    ++count;
    largest = std::isnan(apart) ? HUGE_VAL : std::max(largest, apart);
  }
  if (count == 0) return tolerance > 0 || !is_floating(a.dtype()) ? "" : "the same numbers in other bits";
  return fmt::format("{} of {} values differ, by {:.6g} at most", count, x.numel(), largest);
}

std::vector<Difference> differences(const io::Container& a, const io::Container& b, double tolerance) {
  std::vector<Difference> out;
  if (a.kind != b.kind) out.push_back({"(kind)", fmt::format("{} and {}", a.kind, b.kind)});
  if (!(a.meta == b.meta)) out.push_back({"(meta)", "differs"});
  std::map<std::string, const Tensor*> of_b;
  for (const NamedTensor& t : b.tensors) of_b[t.name] = &t.tensor;
  for (const auto& [name, tensor] : a.tensors) {
    const auto found = of_b.find(name);
    if (found == of_b.end()) {
      out.push_back({name, "is in the first file only"});
      continue;
    }
    const Tensor& other = *found->second;
    if (tensor.spec() != other.spec())
      out.push_back({name, fmt::format("{} and {}", to_string(tensor.spec()), to_string(other.spec()))});
    else if (std::string what = values_differ(tensor, other, tolerance); !what.empty())
      out.push_back({name, std::move(what)});
    of_b.erase(found);
  }
  for (const auto& [name, tensor] : of_b) out.push_back({name, "is in the second file only"});
  std::map<std::string, const io::Carried*> carried;
  for (const io::Carried& c : b.carried) carried[c.name] = &c;
  for (const io::Carried& c : a.carried) {
    const auto found = carried.find(c.name);
    if (found == carried.end()) {
      out.push_back({c.name, "is in the first file only"});
      continue;
    }
    const io::Carried& other = *found->second;
    if (c.element != other.element || c.shape != other.shape || c.bytes->bytes() != other.bytes->bytes())
      out.push_back({c.name, "kind or shape differ"});
    else if (std::memcmp(c.bytes->data(), other.bytes->data(), c.bytes->bytes()) != 0)
      out.push_back({c.name, "bytes differ"});
    carried.erase(found);
  }
  for (const auto& entry : carried) out.push_back({entry.first, "is in the second file only"});
  return out;
}

int diff(const Options& o) {
  const auto found = differences(read_any(o.a), read_any(o.b), o.tolerance);
  if (o.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Difference& d : found) list.push_back({{"name", d.name}, {"difference", d.what}});
    fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    for (const Difference& d : found) fmt::print("{}: {}\n", d.name, d.what);
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
