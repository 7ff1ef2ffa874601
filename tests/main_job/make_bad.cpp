// Writes into a folder what fashion_mnist must refuse: bad/*.varve as --data, and a checkpoint of another
// network.
#include <cstdio>
#include <filesystem>
#include <string>

#include <varve/varve.h>

using namespace varve;

namespace {

struct Other {
  nn::Linear ln1{784, 100}, ln3{100, 10};
  static void members(auto& self, auto&& visit) {
    visit("ln1", self.ln1);
    visit("ln3", self.ln3);
  }
};

NamedTensors data_set() {
  return {{"train_images", zeros({6, 28, 28}, DType::u8)},
          {"train_labels", zeros({6}, DType::u8)},
          {"test_images", zeros({3, 28, 28}, DType::u8)},
          {"test_labels", zeros({3}, DType::u8)}};
}

void write_data_sets(const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto with = [&](const char* file, const char* name, const Tensor& part) {
    NamedTensors set;
    for (const NamedTensor& t : data_set())
      if (t.name != name)
        set.add(t.name, t.tensor);
      else if (part.defined())
        set.add(t.name, part);
    save(folder + "/" + file + ".varve", set);
  };
  with("no_test_images", "test_images", {});
  with("few_labels", "train_labels", zeros({5}, DType::u8));
  with("many_labels", "test_labels", zeros({4}, DType::u8));
  with("label_10", "test_labels", full({3}, 10, DType::u8));
  with("label_255", "train_labels", full({6}, 255, DType::u8));
  with("labels_in_rows", "train_labels", zeros({6, 1}, DType::u8));
  with("float_labels", "train_labels", zeros({6}));
  with("small_images", "train_images", zeros({6, 27, 28}, DType::u8));
  with("flat_images", "test_images", zeros({3, 784}, DType::u8));
  with("float_images", "train_images", zeros({6, 28, 28}));
  with("no_images", "train_images", zeros({0, 28, 28}, DType::u8));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  write_data_sets(folder + "/bad");
  save(folder + "/good.varve", data_set());
  Other model;
  optim::Adam adam(named_parameters(model), {});
  save_checkpoint(folder + "/other.varve", {.epoch = 0,
                                            .step = 0,
                                            .loss = 0,
                                            .model = state_dict(model),
                                            .optimizer = adam.state_dict(),
                                            .loader = {},
                                            .random = {{"default", default_generator().state()}},
                                            .user = {}});
}
