// What the container's tests write: tensors of any bits, and one file with a section of every kind.
#pragma once

#include <random>
#include <span>
#include <string>

#include <varve/core/ops/make.h>
#include <varve/core/ops/random.h>
#include <varve/core/ops/views.h>
#include <varve/io/container.h>
#include <varve/io/reader.h>

namespace varve::test {

// Any bits: NaNs of all kinds must survive too.
inline Tensor noise(DType dtype, const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  const Tensor out = zeros(shape, dtype);
  auto* bytes = static_cast<uint8_t*>(out.view().data);
  for (size_t i = 0; i < out.spec().bytes(); ++i)
    bytes[i] = static_cast<uint8_t>(dtype == DType::boolean ? random() & 1 : random());
  return out;
}

// Numbers like weights: their upper bytes can be coded, their lower ones cannot.
inline Tensor weights(const Shape& shape, uint64_t seed) { return randn(shape, DType::f32, Generator(seed)); }

inline io::Carried carried(std::string name, io::ElementKind kind, const Shape& shape) {
  const auto bytes = static_cast<size_t>(io::packed_bytes(numel(shape), io::info_of(kind)->bits));
  auto storage = std::make_shared<Storage>(cpu_backend(), bytes);
  for (size_t i = 0; i < bytes; ++i) storage->data()[i] = static_cast<std::byte>(37 * i + 11);
  if (bytes > 0)
    storage->data()[bytes - 1] &= std::byte{0xff} >> io::spare_bits(numel(shape), io::info_of(kind)->bits);
  return {std::move(name), kind, shape, std::move(storage)};
}

// A small file of every part a file may have; its weights are the most of it.
inline io::Container sample(const Shape& weights_shape = {24, 16}, const Shape& zeros_shape = {40, 8}) {
  io::Container c{
      "state_dict", io::MetaMap{{"note", "small"}, {"list", io::MetaList{1, 2.5, io::Meta()}}}, {}, {}, {}};
  const Tensor weight = weights(weights_shape, 1);
  c.tensors.add("weight", weight);
  c.tensors.add("tied", transpose(weight));
  c.tensors.add("mask", noise(DType::boolean, {5}, 2));
  c.tensors.add("zeros", zeros(zeros_shape, DType::f64));
  c.tensors.add("empty", zeros({0, 3}));
  c.carried.push_back(carried("complex", io::ElementKind::complex64, {3}));
  c.carried.push_back(carried("four bits", io::ElementKind::f4_e2m1fn, {5}));
  c.sections.push_back({"later.thing", io::Bytes(9, std::byte{7})});
  return c;
}

inline io::Bytes bytes_of(const io::Container& container, io::Codec codec = {}) {
  io::MemorySink sink;
  io::write(sink, container, {codec});
  return sink.take();
}

inline constexpr io::Codec kAllCodecs[] = {io::Codec::none, io::Codec::zlib, io::Codec::zstd};

}  // namespace varve::test
