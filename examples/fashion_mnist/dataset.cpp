#include "dataset.h"

#include <algorithm>
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

NamedTensors from_folder(const fs::path& folder) {
  return {{"train_images", read_part(folder, "train-images-idx3-ubyte")},
          {"train_labels", read_part(folder, "train-labels-idx1-ubyte")},
          {"test_images", read_part(folder, "t10k-images-idx3-ubyte")},
          {"test_labels", read_part(folder, "t10k-labels-idx1-ubyte")}};
}

// The part of that name, which is what `required` says; else an Error.
template <class Test>
Tensor checked(const NamedTensors& parts, const std::string& name, const char* required, Test test) {
  const Tensor* part = parts.find(name);
  if (part && part->dtype() == DType::u8 && test(*part)) return *part;
  const std::string found = part ? "is " + to_string(part->spec()) : "is missing";
  throw Error("Fashion-MNIST's " + name + " " + found + "; required are " + required);
}

Tensor images(const NamedTensors& parts, const std::string& name) {
  return checked(parts, name, "one or more images, u8[N, 28, 28]", [](const Tensor& t) {
    return t.rank() == 3 && t.size(0) > 0 && t.size(1) == 28 && t.size(2) == 28;
  });
}

Tensor labels(const NamedTensors& parts, const std::string& name, const Tensor& of) {
  const Tensor labels =
      checked(parts, name, "as many labels as images, each 0 to 9, u8[N]", [&](const Tensor& t) {
        if (t.rank() != 1 || t.size(0) != of.size(0)) return false;
        const Tensor packed = contiguous(t);
        return std::ranges::all_of(packed.data<uint8_t>(),
                                   [](uint8_t label) { return label < kClassNames.size(); });
      });
  return cast(labels, DType::i64);
}

}  // namespace

Dataset load_dataset(const std::string& folder_or_file) {
  fs::path from = folder_or_file;
  if (from.empty()) from = fs::exists(kDebianFolder) ? kDebianFolder : FASHION_MNIST_SUBSET;
  std::fprintf(stderr, "data: %s\n", from.c_str());
  const NamedTensors parts = fs::is_directory(from) ? from_folder(from) : load(from.string());
  const Tensor train = images(parts, "train_images"), test = images(parts, "test_images");
  return {train, labels(parts, "train_labels", train), test, labels(parts, "test_labels", test)};
}

Dataset on_device(const Dataset& d, Device device) {
  return {d.train_images.to(device), d.train_labels.to(device), d.test_images.to(device),
          d.test_labels.to(device)};
}
