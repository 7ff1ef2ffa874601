#include "training.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "progress.h"

using namespace varve;

namespace {

volatile sig_atomic_t interrupted = 0;

// Bytes 0 to 255 as numbers 0 to 1.
Tensor pixels(const Tensor& images) { return cast(images, DType::f32) / 255.0; }

// The first SIGINT asks for an end after this step; a second one ends the program at once.
void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
}

// What cannot be kept is better known before the training than after it.
void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error && ::access(folder.c_str(), W_OK | X_OK) != 0) error.assign(errno, std::generic_category());
  if (error)
    throw IoError(folder, error.value(),
                  "--out: cannot write there; required is a folder, or where to make one");
}

Mlp seeded_model(uint64_t seed) {
  manual_seed(seed);
  return {};
}

}  // namespace

Training::Training(const Dataset& data, Options options)
    : data_(data),
      options_(std::move(options)),
      model_(seeded_model(options_.seed)),
      adam_(named_parameters(model_), {.lr = options_.lr.value_or(0.001)}),
      loader_(data.train_images, data.train_labels,
              {.batch_size = options_.batch, .shuffle = true, .seed = options_.seed}) {
  make_folder(options_.out);
  label(model_);
  if (!options_.resume.empty()) resume();
  watch_interrupts();
}

void Training::resume() {
  const Checkpoint saved = load_checkpoint(options_.resume);
  try {
    load_parts(saved, {{"model", [&] { return stage_load(model_, saved.model); }},
                       {"optimizer", [&] { return adam_.stage_load(saved.optimizer); }},
                       {"loader", [&] { return loader_.stage_load(saved.loader); }},
                       {"random", [&] {
                          return stage_load({{"default", default_generator().state()}}, saved.random);
                        }}});
  } catch (const Error& e) {
    throw Error("--resume " + options_.resume +
                ": a checkpoint of another network or other options: " + e.what());
  }
  if (options_.lr) adam_.set_lr(*options_.lr);
  step_ = saved.step;
  loss_ = saved.loss;
  std::fprintf(stderr, "resumed %s: epoch %ld, step %ld, loss %.4f\n", options_.resume.c_str(),
               static_cast<long>(saved.epoch + 1), static_cast<long>(saved.step), saved.loss);
}

void Training::save_checkpoint() const {
  varve::save_checkpoint(checkpoint_path(), {.epoch = loader_.epoch(),
                                             .step = step_,
                                             .loss = loss_,
                                             .model = state_dict(model_),
                                             .optimizer = adam_.state_dict(),
                                             .loader = loader_.state_dict(),
                                             .random = {{"default", default_generator().state()}},
                                             .user = {}});
}

// One step of training; returns the loss and how many answers were right.
Tensors Training::step_on(const Tensor& images, const Tensor& labels) {
  const Tensor logits = model_(pixels(images));
  const Tensor loss = nn::cross_entropy(logits, labels);
  adam_.zero_grad();
  loss.backward();
  adam_.step();
  return {loss, sum(equal(argmax(logits, 1), labels))};
}

bool Training::run() {
  auto step = compile([this](const Tensor& x, const Tensor& y) { return step_on(x, y); });
  while (loader_.epoch() < options_.epochs)
    if (!run_epoch(step)) return false;
  return true;
}

bool Training::run_epoch(CompiledStep& step) {
  Progress progress(loader_.epoch(), options_.epochs, loader_.batch(), loader_.batches());
  while (const auto batch = loader_.next()) {
    const Tensors result = step(batch->inputs, batch->targets);
    loss_ = result[0].item();
    progress.add(loss_, result[1].item<int64_t>(), batch->targets.size(0));
    ++step_;
    if (step_ == options_.kill_at_step) ::raise(SIGKILL);
    if (interrupted || (options_.checkpoint_every && step_ % options_.checkpoint_every == 0))
      save_checkpoint();
    if (interrupted) {
      progress.finish();
      return false;
    }
  }
  progress.finish();
  save_checkpoint();
  return true;
}

double Training::test_accuracy() const {
  const NoGrad guard;
  int64_t correct = 0;
  const int64_t count = data_.test_images.size(0);
  for (int64_t first = 0; first < count; first += 1000) {
    const Tensor answers = argmax(model_(pixels(slice(data_.test_images, 0, first, first + 1000))), 1);
    correct += sum(equal(answers, slice(data_.test_labels, 0, first, first + 1000))).item<int64_t>();
  }
  return static_cast<double>(correct) / static_cast<double>(count);
}

void Training::save_model() const {
  save(options_.out + "/fashion_mnist_mlp_statedict.varve", state_dict(model_));
  varve::save_model(options_.out + "/fashion_mnist_mlp_whole.varve", model_, {zeros({2, 28, 28})});
}
