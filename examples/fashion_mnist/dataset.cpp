#include "dataset.h"

#include <cstdio>
#include <filesystem>

namespace fs = std::filesystem;
using namespace varve;

namespace {

constexpr const char* kDebianFolder = "/usr/share/datasets/fashion-mnist";

// The file itself, or the same name gzipped.
Tensor read_part(const fs::path& folder, const char* name) {
  const fs::path plain = folder / name;
  return data::read_idx(fs::exists(plain) ? plain.string() : plain.string() + ".gz");
}

Dataset from_folder(const fs::path& folder) {
  return {read_part(folder, "train-images-idx3-ubyte"),
          cast(read_part(folder, "train-labels-idx1-ubyte"), DType::i64),
          read_part(folder, "t10k-images-idx3-ubyte"),
          cast(read_part(folder, "t10k-labels-idx1-ubyte"), DType::i64)};
}

Dataset from_file(const fs::path& file) {
  const NamedTensors parts = load(file.string());
  const auto part = [&](const char* name) {
    const Tensor* found = parts.find(name);
    if (!found)
      throw Error(file.string() + ": no tensor '" + name + "'; required is a Fashion-MNIST .varve file");
    return *found;
  };
  return {part("train_images"), cast(part("train_labels"), DType::i64), part("test_images"),
          cast(part("test_labels"), DType::i64)};
}

}  // namespace

Dataset load_dataset(const std::string& folder_or_file) {
  fs::path from = folder_or_file;
  if (from.empty()) from = fs::exists(kDebianFolder) ? kDebianFolder : FASHION_MNIST_SUBSET;
  std::fprintf(stderr, "data: %s\n", from.c_str());
  return fs::is_directory(from) ? from_folder(from) : from_file(from);
}
