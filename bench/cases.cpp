#include <fmt/format.h>
#include <varve/bench/cases.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include <varve/core/error.h>
#include <varve/core/ops/make.h>
#include <varve/core/tensor.h>

namespace bench {
namespace {

// The median of five in a row where one takes milliseconds: a process that was elsewhere needs some to get up
// to speed.
double settled(const Case& c) {
  constexpr double kShort = 0.02;
  std::vector<double> times{c.run()};
  while (times[0] < kShort && times.size() < 5) times.push_back(c.run());
  return median(times);
}

std::string duration(double seconds) {
  if (seconds < 1e-6) return fmt::format("{:.0f} ns", seconds * 1e9);
  return seconds < 1e-3 ? fmt::format("{:.2f} us", seconds * 1e6) : fmt::format("{:.3f} ms", seconds * 1e3);
}

}  // namespace

double seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double device_seconds(const std::function<void()>& f) {
  const varve::Tensor mark = varve::zeros({});
  mark.item();
  return seconds([&] { f(), mark.item(); });
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto count = static_cast<double>(values.size());
  const auto at = values.begin() + static_cast<ptrdiff_t>(std::min(count * q, count - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

void add_options(CLI::App& app, Options& options) {
  app.add_option("--rounds", options.rounds, "how often each case runs");
  app.add_option("--threads", options.threads, "how many threads")->check(CLI::Range(1, 1024));
  app.add_option("--json", options.json, "where the medians are written to");
  app.add_option("--filter", options.filter, "only cases whose name has this in it");
  app.add_flag("--serve", options.serve, "time the cases whose names come on stdin");
}

void add_device(CLI::App& app, Options& options) {
  app.add_option("--device", options.device, "cpu, cuda or cuda:N");
}

const Case& Cases::find(const std::string& name) const {
  for (const Case& c : cases_)
    if (c.name == name) return c;
  throw varve::Error("bench: there is no case '" + name + "'");
}

void Cases::run(const Options& options) const { options.serve ? serve() : run_rounds(options); }

void Cases::run_rounds(const Options& options) const {
  std::map<std::string, std::vector<double>> times;
  std::vector<const Case*> wanted;
  for (const Case& c : cases_)
    if (c.name.find(options.filter) != std::string::npos) wanted.push_back(&c);
  for (int round = 0; round < options.rounds; ++round)
    for (const Case* c : wanted) {
      times[c->name].push_back(settled(*c));
      if (!c->ceiling.empty()) times[c->name + " limit"].push_back(settled(find(c->ceiling)));
    }
  fmt::print("{:24} {:>12} {:>8}  {}\n", "case", "time", rate_, "of its ceiling (our rate over that one's)");
  std::vector<Row> rows;
  for (const Case* c : wanted) {
    const double t = median(times[c->name]);
    double of_ceiling = 0;
    if (!c->ceiling.empty())
      of_ceiling = c->amount / t / (find(c->ceiling).amount / median(times[c->name + " limit"]));
    print(rows.emplace_back(Row{*c, t, of_ceiling}));
  }
  if (!options.json.empty()) write(rows, options.json);
}

void Cases::print(const Row& row) const {
  const Case& c = row.of;
  fmt::print("{:24} {:>12}", c.name, duration(row.seconds));
  if (c.amount > 0) fmt::print(" {:8.2f}", c.amount / row.seconds / 1e9);
  if (!c.ceiling.empty()) fmt::print("  {:.2f} of {}", row.of_ceiling, c.ceiling);
  if (c.note) fmt::print("  {}", c.note());
  fmt::print("\n");
}

void Cases::write(const std::vector<Row>& rows, const std::string& path) const {
  nlohmann::ordered_json all;
  for (const Row& row : rows) {
    auto& out = all[row.of.name];
    out["seconds"] = row.seconds;
    if (row.of.amount > 0) out[rate_] = row.of.amount / row.seconds / 1e9;
    if (!row.of.ceiling.empty()) out["of " + row.of.ceiling] = row.of_ceiling;
  }
  std::ofstream file(path);
  if (!(file << all.dump(1) << '\n')) throw varve::Error("bench: cannot write " + path);
}

void Cases::serve() const {
  for (std::string name; std::getline(std::cin, name);) {
    if (name == "list") {
      for (const Case& c : cases_) fmt::print("{} {} {}\n", c.name, c.amount, c.ceiling);
      fmt::print("\n");
    } else {
      fmt::print("{:.9f}\n", find(name).run());
    }
    std::fflush(stdout);
  }
}

}  // namespace bench
