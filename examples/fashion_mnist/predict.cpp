// Opens a whole model it has no class for, and shows what the network says of a few test images.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "dataset.h"

using namespace varve;

namespace {

// Two rows of the image in a line of text: darker characters for brighter pixels.
void print_image(const Tensor& image) {
  constexpr std::string_view kShades = " .:-=+*#%@";
  const std::span<const uint8_t> pixels = image.data<uint8_t>();
  for (size_t row = 0; row < 28; row += 2) {
    std::string line;
    for (size_t column = 0; column < 28; ++column)
      line +=
          kShades[(pixels[row * 28 + column] + pixels[(row + 1) * 28 + column]) / 2u * kShades.size() / 256];
    std::printf("    %s\n", line.c_str());
  }
}

void show(Model& model, const Dataset& data, int64_t i) {
  const Tensor image = contiguous(slice(data.test_images, 0, i, i + 1));
  const Tensor chances = softmax(model(cast(image, DType::f32) / 255.0), 1);
  const auto answer = static_cast<size_t>(argmax(chances, 1).item<int64_t>());
  const auto truth = static_cast<size_t>(data.test_labels[i].item<int64_t>());
  print_image(image);
  std::printf("  test image %ld: %s (%.1f %%)%s%s\n\n", static_cast<long>(i), kClassNames.at(answer),
              100 * max(chances).item(), answer == truth ? ", right" : ", wrong: it is a ",
              answer == truth ? "" : kClassNames.at(truth));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Opens a whole model and shows what it says of a few Fashion-MNIST test images."};
  std::string model_path, data;
  int64_t count = 3;
  app.add_option("model", model_path, "A whole model (.varve)")->required();
  app.add_option("--data", data, "Folder of the IDX files, or a .varve file");
  app.add_option("--count", count, "How many images")->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const NoGrad guard;
    Model model = load_model(model_path);
    eval(model);
    const Dataset dataset = load_dataset(data);
    for (int64_t i = 0; i < std::min(count, dataset.test_images.size(0)); ++i) show(model, dataset, i);
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) throw Error("stdout: not all could be written");
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "predict: %s\n", e.what());
    return 1;
  }
}
