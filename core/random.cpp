#include <varve/core/random.h>

#include <varve/core/ops/make.h>

namespace varve {

Generator::Generator(uint64_t seed)
    : state_(detail::from_bytes(std::array{seed, uint64_t{0}}.data(), 2, DType::u64, {2})) {}

uint64_t Generator::seed() const { return state_.data<uint64_t>()[0]; }
uint64_t Generator::offset() const { return state_.data<uint64_t>()[1]; }

void Generator::set(uint64_t seed, uint64_t offset) const {
  const auto words = state_.mutable_data<uint64_t>();
  words[0] = seed;
  words[1] = offset;
}

Generator& default_generator() {
  thread_local Generator generator;
  return generator;
}

void manual_seed(uint64_t seed) { default_generator().set(seed); }

}  // namespace varve
