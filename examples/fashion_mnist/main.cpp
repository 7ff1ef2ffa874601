// Trains a 784-256-10 network on Fashion-MNIST and keeps it three ways: state dict, whole model, checkpoint.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

#include "training.h"

namespace {

// As a shell reads it back.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The command given, but going on from the checkpoint.
std::string resume_command(const char* program, const CLI::App& app, const std::string& checkpoint) {
  std::string out = quoted(program);
  for (const CLI::Option* option : app.get_options())
    if (option->count() && option->get_name() != "--resume")
      out += " " + option->get_name() + " " + quoted(option->results().back());
  return out + " --resume " + quoted(checkpoint);
}

// What the command line says.
struct Given {
  Options options;
  std::string data, device = "cpu";
  int threads = 0;
};

void add_options(CLI::App& app, Given& given) {
  const auto kAtLeastOne = CLI::Range(int64_t{1}, int64_t{1} << 40);
  Options& options = given.options;
  app.add_option("--epochs", options.epochs, "Passes over the training images")
      ->check(kAtLeastOne)
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Images in a step")->check(kAtLeastOne)->capture_default_str();
  app.add_option("--lr", options.lr, "Adam's learning rate (default: 0.001, or the resumed checkpoint's)")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--seed", options.seed, "Fixes the first weights and the order of the images")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 62))
      ->capture_default_str();
  app.add_option("--threads", given.threads, "Threads to compute with (default: the processors granted)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--device", given.device, "Where to train: cpu, cuda or cuda:N")->capture_default_str();
  app.add_option(
      "--data", given.data,
      "Folder of the four IDX files, or a .varve file (default: Debian's package, else the subset)");
  app.add_option("--out", options.out, "Folder to write to")->capture_default_str();
  app.add_option("--checkpoint-every", options.checkpoint_every,
                 "Steps between checkpoints (each epoch ends with one)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--resume", options.resume, "Checkpoint to go on from");
  app.add_option("--kill-at-step", options.kill_at_step,
                 "End by SIGKILL after this step, to see that nothing is lost")
      ->check(CLI::NonNegativeNumber);
}

int train(const char* program, const CLI::App& app, const Given& given) {
  if (given.threads) varve::set_threads(given.threads);
  const varve::Device device = varve::device_named(given.device);
  const Dataset dataset = on_device(load_dataset(given.data), device);
  const varve::OnDevice on(device);
  Training training(dataset, given.options);
  if (!training.run()) {
    std::fprintf(stderr, "interrupted after step %ld; to go on:\n  %s\n", static_cast<long>(training.step()),
                 resume_command(program, app, training.checkpoint_path()).c_str());
    return 130;
  }
  training.save_model();
  if (std::printf("test accuracy %.4f\n", training.test_accuracy()) < 0 || std::fflush(stdout) != 0)
    throw varve::IoError("stdout", errno, "the accuracy could not be written; the models are saved");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Trains the tutorial's network on Fashion-MNIST, and keeps it as a state dict, a whole model and a "
      "checkpoint."};
  Given given;
  add_options(app, given);
  CLI11_PARSE(app, argc, argv);
  try {
    return train(argv[0], app, given);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fashion_mnist: %s\n", e.what());
    return 1;
  }
}
