// A file of either format, told apart by its first bytes.
#pragma once

#include <string>

#include <varve/io/reader.h>

namespace varve::cli {

bool holds_safetensors(const std::string& path);
// Everything in it, verified as far as its format allows.
io::Container read_any(const std::string& path);
// What a file of that name cannot hold of `container`, or nothing.
std::string lost_in(const std::string& path, const io::Container& container);
// Durably, as safetensors where the name ends so; of a model or checkpoint that is its state.
void write_any(const std::string& path, io::Container container, io::Codec codec);

}  // namespace varve::cli
