// Optimizer: named parameters in groups, and the state that a step changes. All of it is made by the
// constructor and lives in tensors, so that a compiled step sees every change and a file keeps it.
#pragma once

#include <array>
#include <bit>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <varve/core/graph.h>
#include <varve/core/named_tensors.h>

namespace varve::optim {

// What every optimizer does, whatever its rule.
class VARVE_API Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;  // two copies would share their moments
  Optimizer& operator=(const Optimizer&) = delete;
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  // Updates every parameter that has a gradient. The first step is an Error when the sweep before it reached
  // a tensor without a name: one that members() forgot.
  void step();
  // Clears the gradient of every parameter.
  void zero_grad() const;

  // The learning rate is a tensor: a compiled step sees the change. Without a group: of all groups.
  void set_lr(double lr) const;
  void set_lr(double lr, size_t group) const;
  double lr(size_t group = 0) const;
  size_t groups() const { return groups_.size(); }

  // "exp_avg.ln1.weight", ..., "master.ln1.weight", ..., "step.ln1.weight", ..., "groups.0.lr",
  // "groups.0.beta1", ...: moments, masters of halves and steps by the name of their parameter. They and lr
  // share the optimizer's memory.
  NamedTensors state_dict() const;
  // Takes over moments, step, learning rates and options; strict as in load_into. A compiled step is traced
  // again for other options.
  LoadReport load_state_dict(const NamedTensors& state, bool strict = true) {
    StagedLoad staged = stage_load(state, strict);
    staged.commit();
    return std::move(staged.report);
  }
  virtual StagedLoad stage_load(const NamedTensors& state, bool strict = true);

 protected:
  struct Parameter {
    std::string name;
    Tensor tensor;
    Tensor master;  // f32, for a half: what is trained, and the half rounded from after each step
    std::array<Tensor, 2> moments;

    const Tensor& trained() const { return master.defined() ? master : tensor; }
  };
  struct GroupState {
    std::vector<Parameter> parameters;
    Tensor lr;     // 0-d f64
    Tensor steps;  // f64, for each parameter: how often it was updated
  };

  Optimizer(const char* name, std::vector<std::string_view> moment_names);
  // Errors: a parameter that is given twice, or its name; that is undefined; that requires no gradient.
  void add_group(const NamedTensors& parameters, double lr);

  // The rule, for those of one group that have a gradient; the steps count this one. Runs under NoGrad.
  virtual void update(size_t group, const GroupState& state) const = 0;
  // The options of a group by name, except lr.
  virtual std::vector<std::pair<std::string, double>> options(size_t group) const = 0;

  // The option of that name in `state`, or `otherwise`.
  static double option_in(const NamedTensors& state, size_t group, std::string_view name, double otherwise);

 private:
  const GroupState& group_at(size_t group) const;
  static void count_steps(const GroupState& group);
  static void renew_masters(const GroupState& group);
  static void round_masters(const GroupState& group);
  void check_new(const NamedTensor& parameter) const;
  bool check_reached() const;

  const char* name_;
  std::vector<std::string_view> moment_names_;
  std::vector<GroupState> groups_;
  bool checked_ = false;
};

// Parameters that share options.
template <class Options>
struct Group {
  NamedTensors parameters;
  Options options;
};

// An optimizer with options: a struct of numbers with lr, fields() that lists the others, and check().
template <class Options>
class OptimizerOf : public Optimizer {
 public:
  StagedLoad stage_load(const NamedTensors& state, bool strict = true) override {
    std::vector<Options> loaded = *options_;
    for (size_t g = 0; g < loaded.size(); ++g) {
      Options::fields(loaded[g], [&]<class T>(const char* name, T& value) {
        value = static_cast<T>(option_in(state, g, name, static_cast<double>(value)));
      });
      loaded[g].check();
    }
    StagedLoad staged = Optimizer::stage_load(state, strict);
    staged.commit = [this, loaded = std::move(loaded), tensors = std::move(staged.commit)] {
      tensors();
      *options_ = loaded;
    };
    return staged;
  }

 protected:
  OptimizerOf(const char* name, std::vector<std::string_view> moment_names,
              std::vector<Group<Options>> groups)
      : Optimizer(name, std::move(moment_names)) {
    for (Group<Options>& g : groups) {
      g.options.check();
      add_group(g.parameters, g.options.lr);
      options_->push_back(std::move(g.options));
    }
  }
  // Constants of a step, so a trace minds whether others are loaded.
  const Options& options_of(size_t group) const {
    if (Trace* trace = Trace::current())
      trace->guard(options_.get(), [options = options_] { return digest(*options); });
    return (*options_)[group];
  }

 private:
  std::vector<std::pair<std::string, double>> options(size_t group) const override {
    std::vector<std::pair<std::string, double>> out;
    Options::fields((*options_)[group],
                    [&](const char* name, double value) { out.emplace_back(name, value); });
    return out;
  }

  // FNV-1a of all but the learning rates.
  static uint64_t digest(const std::vector<Options>& all) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const Options& options : all)
      Options::fields(options, [&](const char*, double value) {
        hash = (hash ^ std::bit_cast<uint64_t>(value)) * 0x100000001b3;
      });
    return hash;
  }

  std::shared_ptr<std::vector<Options>> options_ = std::make_shared<std::vector<Options>>();
};

// Refuses an option that makes no sense: "adam: lr = -1; required is ...".
VARVE_API void check_option(bool sensible, const char* option, double value, const char* required);

}  // namespace varve::optim
