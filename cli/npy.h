// NumPy's .npy files (NEP 1), versions 1 to 3.
#pragma once

#include <string>

#include <varve/core/tensor.h>

namespace varve::cli {

// FormatError unless it is a little-endian array of a dtype that varve has.
Tensor read_npy(const std::string& path);
void write_npy(const std::string& path, const Tensor& tensor);

}  // namespace varve::cli
