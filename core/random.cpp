#include <varve/core/random.h>

#include <list>
#include <utility>

#include <varve/core/graph.h>
#include <varve/core/ops/make.h>

namespace varve {

Generator::Generator(uint64_t seed)
    : state_(detail::from_bytes(std::array{seed, uint64_t{0}}.data(), 2, DType::u64, {2})) {}

uint64_t Generator::seed() const {
  const Tensor words = state_.to(kCpu);
  return words.data<uint64_t>()[0];
}
uint64_t Generator::offset() const {
  const Tensor words = state_.to(kCpu);
  return words.data<uint64_t>()[1];
}

void Generator::set(uint64_t seed, uint64_t offset) const {
  Trace::forbid_reading("set");  // a replay would not set it
  state_.assign(tensor<uint64_t>({seed, offset}));
}

namespace {

struct Generators {
  uint64_t seed = 0;
  std::list<std::pair<Device, Generator>> made;
};
thread_local Generators generators;

}  // namespace

Generator& default_generator(Device device) {
  for (auto& [where, generator] : generators.made)
    if (where == device) return generator;
  const OnDevice on(device);
  return generators.made.emplace_back(device, Generator(generators.seed)).second;
}

void manual_seed(uint64_t seed) {
  generators.seed = seed;
  for (const auto& [where, generator] : generators.made) generator.set(seed);
}

}  // namespace varve
