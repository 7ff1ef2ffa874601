// IDX: the format of the MNIST files: magic (0, 0, type, rank), big-endian sizes, big-endian elements.
#pragma once

#include <string>

#include <varve/core/tensor.h>

namespace varve::data {

// The tensor in an IDX file, plain or gzip: u8, i8, i16, i32, f32 or f64. IoError, or FormatError with path
// and offset.
VARVE_API Tensor read_idx(const std::string& path);

}  // namespace varve::data
