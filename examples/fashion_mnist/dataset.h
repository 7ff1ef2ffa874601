// Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv:1708.07747): 28 x 28 grey images of ten kinds of clothing.
#pragma once

#include <array>
#include <string>

#include <varve/varve.h>

struct Dataset {
  varve::Tensor train_images, train_labels;  // u8 [N, 28, 28], i64 [N]
  varve::Tensor test_images, test_labels;
};

inline constexpr std::array kClassNames{"T-shirt", "trouser", "pullover", "dress", "coat",
                                        "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};

// The four IDX files of a folder, or a .varve file that holds the same tensors. An empty name: Debian's
// package dataset-fashion-mnist where it is installed, else the subset that comes with varve. Error where the
// images are not 28 x 28, or the labels are not 0 to 9 and one for each image.
Dataset load_dataset(const std::string& folder_or_file);
Dataset on_device(const Dataset& dataset, varve::Device device);
