#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>

#include <varve/core/error.h>
#include <varve/io/meta.h>

#include "tests/io/fuzz/fuzz.h"

namespace varve::fuzz {

using namespace io;

namespace {

size_t below(std::minstd_rand& random, size_t n) {
  return std::uniform_int_distribution<size_t>(0, n - 1)(random);
}

// How many values the tree has.
size_t count(const Meta& meta) {
  size_t n = 1;
  if (const auto* list = std::get_if<MetaList>(&meta.value()))
    for (const Meta& m : *list) n += count(m);
  if (const auto* map = std::get_if<MetaMap>(&meta.value()))
    for (const auto& [key, m] : *map) n += count(m);
  return n;
}

// The tree with f of the value that `left` others come before; `left` ends below zero.
template <class F>
Meta replaced(const Meta& meta, ptrdiff_t& left, const F& f) {
  if (left-- == 0) return f(meta);
  if (left < 0) return meta;
  if (const auto* list = std::get_if<MetaList>(&meta.value())) {
    MetaList out;
    for (const Meta& m : *list) out.push_back(replaced(m, left, f));
    return out;
  }
  if (const auto* map = std::get_if<MetaMap>(&meta.value())) {
    MetaMap out;
    for (const auto& [key, m] : *map) out.emplace_back(key, replaced(m, left, f));
    return out;
  }
  return meta;
}

int64_t changed(int64_t v, std::minstd_rand& random) {
  static constexpr int64_t kEdges[] = {0,
                                       1,
                                       -1,
                                       2,
                                       8,
                                       9,
                                       1 << 20,
                                       int64_t{1} << 31,
                                       int64_t{1} << 53,
                                       std::numeric_limits<int64_t>::max(),
                                       std::numeric_limits<int64_t>::min()};
  switch (below(random, 4)) {
    case 0:
      return kEdges[below(random, std::size(kEdges))];
    case 1:
      return static_cast<int64_t>(static_cast<uint64_t>(v) + below(random, 9) - 4);
    case 2:
      return static_cast<int64_t>(static_cast<uint64_t>(v) ^ (uint64_t{1} << below(random, 64)));
    default:
      return static_cast<int64_t>(below(random, 8));
  }
}

template <class List>
List rearranged(List list, std::minstd_rand& random) {
  if (list.empty()) return list;
  const auto at = list.begin() + static_cast<ptrdiff_t>(below(random, list.size()));
  switch (below(random, 3)) {
    case 0:
      list.erase(at);
      break;
    case 1:
      list.push_back(typename List::value_type(*at));
      break;
    default:
      std::swap(*at, list[below(random, list.size())]);
  }
  return list;
}

std::string changed(const std::string& text) {
  std::string out = text;
  out.resize(text.size() + 4);
  out.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(out.data()), text.size(), out.size()));
  return out;
}

// One change: a number, a text, an element left out, doubled or put in another's place.
Meta changed(const Meta& meta, std::minstd_rand& random) {
  if (const auto* list = std::get_if<MetaList>(&meta.value())) return rearranged(*list, random);
  if (const auto* map = std::get_if<MetaMap>(&meta.value())) return rearranged(*map, random);
  if (const auto* integer = std::get_if<int64_t>(&meta.value())) return changed(*integer, random);
  if (const auto* text = std::get_if<std::string>(&meta.value())) return changed(*text);
  if (const auto* real = std::get_if<double>(&meta.value()))
    return below(random, 2) ? *real * 2 + 1 : static_cast<double>(changed(int64_t{0}, random));
  return below(random, 2) == 0;
}

Meta mutated(const Meta& meta, std::minstd_rand& random) {
  const size_t n = count(meta);
  const auto pick = [&] { return static_cast<ptrdiff_t>(below(random, n)); };
  ptrdiff_t left = pick();
  if (below(random, 8) != 0) return replaced(meta, left, [&](const Meta& m) { return changed(m, random); });
  Meta other;  // put in another's place
  ptrdiff_t from = pick();
  replaced(meta, from, [&](const Meta& m) { return other = m; });
  return replaced(meta, left, [&](const Meta&) { return other; });
}

}  // namespace

size_t mutate_encoded(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  if (below(random, 8) == 0) return LLVMFuzzerMutate(data, size, max_size);
  try {
    Meta meta = decode(std::as_bytes(std::span(data, size)));
    for (size_t n = 1 + below(random, 4); n > 0; --n) meta = mutated(meta, random);
    const Bytes bytes = encode(meta);
    if (bytes.size() > max_size) return size;
    std::memcpy(data, bytes.data(), bytes.size());
    return bytes.size();
  } catch (const Error&) {  // no encoded Meta, or one that nests too deep
    return LLVMFuzzerMutate(data, size, max_size);
  }
}

}  // namespace varve::fuzz
