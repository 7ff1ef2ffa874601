// The numbers in an op's attributes.
#include <varve/io/attribute.h>

#include <fmt/format.h>

#include <bit>
#include <cmath>

namespace varve::io {

int numbers_in(const Attribute& attribute) {
  if (const auto* dims = std::get_if<Dims>(&attribute)) return dims->rank();
  return std::holds_alternative<int64_t>(attribute) || std::holds_alternative<double>(attribute);
}

double number_at(const Attribute& attribute, int element) {
  if (const auto* dims = std::get_if<Dims>(&attribute)) return static_cast<double>((*dims)[element]);
  if (const auto* integer = std::get_if<int64_t>(&attribute)) return static_cast<double>(*integer);
  return std::get<double>(attribute);
}

void set_number(Attribute& attribute, int element, double number) {
  if (auto* real = std::get_if<double>(&attribute)) {
    *real = number;
    return;
  }
  if (!(std::abs(number) <= kExactInteger) || number != std::trunc(number))
    throw Error(fmt::format("{} is no integer of at most 2^53; the batch size is too large", number));
  const auto integer = static_cast<int64_t>(number);
  if (auto* dims = std::get_if<Dims>(&attribute))
    (*dims)[element] = integer;
  else
    std::get<int64_t>(attribute) = integer;
}

bool same(const Attribute& a, const Attribute& b) {
  if (const auto* x = std::get_if<double>(&a), *y = std::get_if<double>(&b); x && y)
    return std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(*y);
  return a == b;
}

}  // namespace varve::io
