// Writes the subset that comes with varve: the first 6,000 training and 1,000 test images.
#include <cstdio>

#include "dataset.h"

int main(int argc, char** argv) {
  using namespace varve;
  if (argc != 3) {
    std::fprintf(stderr, "usage: make_subset FOLDER OUT.varve\n");
    return 2;
  }
  try {
    const Dataset all = load_dataset(argv[1]);
    const auto first = [](const Tensor& t, int64_t count) { return clone(slice(t, 0, 0, count)); };
    const auto labels = [&](const Tensor& t, int64_t count) { return cast(first(t, count), DType::u8); };
    save(argv[2],
         {{"train_images", first(all.train_images, 6000)},
          {"train_labels", labels(all.train_labels, 6000)},
          {"test_images", first(all.test_images, 1000)},
          {"test_labels", labels(all.test_labels, 1000)}},
         {io::Codec::zlib});
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "make_subset: %s\n", e.what());
    return 1;
  }
}
