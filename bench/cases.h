// Cases that are timed: each in turn with what limits it, or one by one when a program that also times peers
// asks for them.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace bench {

double seconds(const std::function<void()>& f);
// On the current device: nothing of it is left to do, neither before nor when the time is taken.
double device_seconds(const std::function<void()>& f);
double median(std::vector<double> values);  // 0 of none
// The value that a share `q` of them does not exceed; 0 of none.
double quantile(std::vector<double> values, double q);

struct Case {
  std::string name;
  double amount;                        // of what a run works on: bytes, or floating-point operations; or 0
  std::function<double()> run;          // seconds
  std::string ceiling{};                // the case whose rate is its limit
  std::function<std::string()> note{};  // what else there is to say
};

struct Options {
  int rounds = 9, threads = 0;
  std::string device = "cpu";
  std::string filter, json;
  bool serve = false;
};
void add_options(CLI::App& app, Options& options);
// For those that have cases for other devices.
void add_device(CLI::App& app, Options& options);

class Cases {
 public:
  // `rate`: what 1e9 of the cases' amount in a second is called.
  explicit Cases(std::string rate) : rate_(std::move(rate)) {}
  void add(Case c) { cases_.push_back(std::move(c)); }
  // As asked for: every case whose name has the filter in it, round after round, and the medians printed, and
  // written as JSON where a file is named; or
  // those whose names come on stdin, each answered with its seconds ("list": with all there are).
  void run(const Options& options) const;

 private:
  struct Row {
    const Case& of;
    double seconds, of_ceiling;  // medians; 0 where there is no ceiling
  };
  const Case& find(const std::string& name) const;
  void print(const Row& row) const;
  void write(const std::vector<Row>& rows, const std::string& path) const;
  void run_rounds(const Options& options) const;
  void serve() const;

  std::string rate_;
  std::vector<Case> cases_;
};

}  // namespace bench
