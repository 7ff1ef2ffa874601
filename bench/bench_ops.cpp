// Every op of the list, on the samples it is tested on: one of them made large, beside the triad, and one as
// it is, for what a call costs.
//
//   bench_ops [--rounds N] [--threads N] [--filter TEXT]
//   bench_ops --serve      reads the names of cases on stdin, answers each with its seconds
//
// <op>/large is its kernel on about a million elements into memory that is there, by the bytes of what it
// reads and writes; an op that only shows its input otherwise has none. <op>/small is a call without
// gradients, with the memory of its result, <op>/recorded one that autograd records.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <varve/bench/cases.h>
#include <varve/bench/limits.h>
#include <varve/core/cpu/threads.h>
#include <varve/varve.h>

#include "tests/core/samples.h"

using namespace varve;
using test::AnySample;

namespace {

constexpr double kElements = 1 << 20;

// The shapes a sample is made of: those of its inputs, or where it has none the one that it is told to make.
template <class F>
void for_each_shape(const AnySample& sample, F&& f) {
  bool found = false;
  for (size_t i = 0; i < sample.in.size(); ++i)
    if (!((sample.fixed >> i) & 1u)) f(sample.in[i].shape()), found = true;
  for (const auto& [name, value] : sample.op->attributes())
    if (const auto* shape = std::get_if<Dims>(&value); shape && !found && name == "shape") f(*shape);
}
double elements(const AnySample& sample) {
  double most = 0;
  for_each_shape(sample, [&](const Shape& s) { most = std::max(most, static_cast<double>(numel(s))); });
  return most;
}

// Every axis longer than one, repeated alike until there are about kElements in the largest shape.
int64_t repeats(const AnySample& sample) {
  int axes = 0;
  const double most = elements(sample);
  for_each_shape(sample, [&](const Shape& s) {
    if (static_cast<double>(numel(s)) == most)
      axes = static_cast<int>(std::ranges::count_if(s, [](int64_t n) { return n > 1; }));
  });
  return std::llround(std::pow(kElements / most, 1.0 / std::max(axes, 1)));
}
Shape grown(Shape shape, int64_t by) {
  for (int i = 0; i < shape.rank(); ++i) shape[i] *= shape[i] > 1 ? by : 1;
  return shape;
}
Tensor grown(Tensor x, int64_t by) {
  for (int axis = 0; axis < x.rank(); ++axis)
    if (x.size(axis) > 1) x = cat(Tensors(static_cast<size_t>(by), x), axis);
  return x;
}
AnySample grown(const AnySample& sample, int64_t by) {
  Attributes attributes = sample.op->attributes();
  for (auto& [name, value] : attributes)
    if (auto* shape = std::get_if<Dims>(&value); shape && name == "shape") *shape = grown(*shape, by);
  const OpName op = sample.op->name();
  AnySample out{make_op(op.name, op.version, attributes), sample.in, sample.fixed, nullptr};
  for (size_t i = 0; i < out.in.size(); ++i)
    if (!((out.fixed >> i) & 1u)) out.in[i] = grown(out.in[i], by);
  return out;
}

// A call of a kernel, ready to be repeated.
class Kernel {
 public:
  explicit Kernel(AnySample sample) : op_(std::move(sample.op)), in_(std::move(sample.in)) {
    Specs specs;
    for (const Tensor& t : in_) in_views_.push_back(t.view()), specs.push_back(t.spec());
    for (const Spec& spec : op_->infer(specs)) out_.push_back(zeros(spec.shape, spec.dtype));
    for (const Tensor& t : out_) out_views_.push_back(t.view());
    if (const auto bytes = static_cast<int64_t>(op_->scratch(in_views_, out_views_)))
      scratch_ = zeros({bytes}, DType::u8);
  }
  void run() const { op_->run(cpu_backend(), in_views_, out_views_, scratch_ ? scratch_->view() : View{}); }
  double bytes() const {
    double total = 0;
    for (size_t i = 0; i < in_.size(); ++i)
      total += static_cast<double>(in_[i].spec().bytes()) * (op_->writes(i) ? 2 : 1);
    for (const Tensor& t : out_) total += static_cast<double>(t.spec().bytes());
    return total;
  }

 private:
  OpPtr op_;
  Tensors in_, out_;
  std::vector<View> in_views_, out_views_;
  std::optional<Tensor> scratch_;
};

// Whether the op gives `sample` as a view.
bool shows(const AnySample& sample) {
  return !sample.in.empty() && !sample.op->alias(sample.in[0].view()).empty();
}

// The largest sample that the op takes when grown; none of an op that shows its input.
std::optional<AnySample> large(std::vector<AnySample> samples) {
  std::erase_if(samples, [](const AnySample& s) { return elements(s) == 0 || shows(s); });
  std::ranges::stable_sort(samples, std::greater{}, elements);
  for (const AnySample& sample : samples) {
    AnySample candidate = grown(sample, repeats(sample));
    Specs specs;
    for (const Tensor& t : candidate.in) specs.push_back(t.spec());
    try {
      candidate.op->infer(specs);
      return candidate;
    } catch (const Error&) {  // its attributes name sizes
    }
  }
  return std::nullopt;
}

void add_large(bench::Cases& cases, const std::string& op, const std::vector<AnySample>& samples) {
  const std::optional<AnySample> sample = large(samples);
  if (!sample) return;
  const auto kernel = std::make_shared<Kernel>(*sample);
  const auto run = [kernel] { return bench::seconds([&] { kernel->run(); }); };
  cases.add({op + "/large", kernel->bytes(), run, "triad"});
}

// The first sample that has a row of elements, or the first of all.
AnySample small(const std::vector<AnySample>& samples) {
  const auto found = std::ranges::find_if(samples, [](const AnySample& s) { return elements(s) > 1; });
  return found == samples.end() ? samples.front() : *found;
}

void add_small(bench::Cases& cases, const std::string& op, const AnySample& sample, bool recorded) {
  Tensors in = sample.in;
  if (recorded)
    for (Tensor& t : in)
      if (is_floating(t.dtype())) t = clone(t).set_requires_grad();
  const auto run = [in, op = sample.op, recorded] {
    constexpr int kCalls = 2000;
    const GradMode mode(recorded);
    return bench::seconds([&] {
             for (int i = 0; i < kCalls; ++i) apply_op(*op, in);
           }) /
           kCalls;
  };
  cases.add({op + (recorded ? "/recorded" : "/small"), 0, run});
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app{"Every op, beside the triad, and what a call of it costs"};
  bench::Options options;
  bench::add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  if (options.threads) set_threads(options.threads);
  bench::Cases cases("GB/s");
  test::for_each_op(DType::f32, [&](const std::vector<AnySample>& samples) {
    const std::string op(samples.front().op->name().name);
    add_large(cases, op, samples);
    add_small(cases, op, small(samples), false);
    if (samples.front().op->differentiable()) add_small(cases, op, small(samples), true);
  });
  cases.add(bench::triad_case("triad", static_cast<int64_t>(kElements)));
  cases.run(options);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "bench_ops: %s\n", e.what());
  return 1;
}
