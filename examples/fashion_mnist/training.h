// Training the tutorial's network: its state, its step, and how it is kept and resumed.
#pragma once

#include <optional>
#include <string>

#include "dataset.h"

struct Mlp {
  varve::nn::Linear ln1{784, 256}, ln2{256, 10};
  varve::Tensor operator()(const varve::Tensor& x) const { return ln2(relu(ln1(flatten(x, 1)))); }
  static void members(auto& self, auto&& visit) {
    visit("ln1", self.ln1);
    visit("ln2", self.ln2);
  }
};

struct Options {
  int64_t epochs = 10, batch = 64, checkpoint_every = 0, kill_at_step = 0;
  std::optional<double> lr;  // default: 0.001, or the checkpoint's
  uint64_t seed = 1;
  std::string out = ".", resume;
};

class Training {
 public:
  Training(const Dataset& data, Options options);
  // To the last epoch, or until interrupted (SIGINT): false then, and the checkpoint is written.
  bool run();
  int64_t step() const { return step_; }
  double test_accuracy() const;
  // The state dict and the whole model.
  void save_model() const;
  std::string checkpoint_path() const { return options_.out + "/training_checkpoint.varve"; }

 private:
  void resume();
  void save_checkpoint() const;
  using CompiledStep = varve::Compiled<2, varve::Tensors>;
  bool run_epoch(CompiledStep& step);
  varve::Tensors step_on(const varve::Tensor& images, const varve::Tensor& labels);

  const Dataset& data_;
  Options options_;
  Mlp model_;
  varve::optim::Adam adam_;
  varve::data::Loader loader_;
  int64_t step_ = 0;
  double loss_ = 0;
};
