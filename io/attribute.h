// The numbers in an op's attributes: an integer or double is one, Dims hold several, bool and text none.
#pragma once

#include <varve/core/op.h>

namespace varve::io {

inline constexpr double kExactInteger = 0x1p53;  // integers up to here are exact in double

VARVE_API int numbers_in(const Attribute& attribute);
// The element-th of them, which must be there.
VARVE_API double number_at(const Attribute& attribute, int element);
// Replaces it; an Error when an integer is to become what is none, or one beyond kExactInteger.
VARVE_API void set_number(Attribute& attribute, int element, double number);
// Equal, doubles by their bits: a NaN is the same as itself.
VARVE_API bool same(const Attribute& a, const Attribute& b);

}  // namespace varve::io
