// Samples of the ops that show the same elements otherwise; source() says, index by index, which element that
// is.
#pragma once

#include <varve/core/ops/views.h>

#include "tests/core/samples_pointwise.h"

namespace varve::test {

// The place of an index in row-major order, and back.
inline int64_t place_of(const Dims& at, const Shape& shape) {
  int64_t place = 0;
  for (int i = 0; i < shape.rank(); ++i) place = place * shape[i] + at[i];
  return place;
}
inline Dims index_at(int64_t place, const Shape& shape) {
  Dims at = Dims::filled(shape.rank(), 0);
  for (int i = shape.rank(); i-- > 0; place /= shape[i]) at[i] = place % shape[i];
  return at;
}

// The samples of one view op: a list of (op, shape).
template <class T>
struct ViewSamples {
  static constexpr Accepts kAccepts = Accepts::all;
  static std::vector<Sample<T>> make(Draws& draws, DType dtype) {
    std::vector<Sample<T>> out;
    for (const auto& [op, shape] : Samples<T>::cases()) out.push_back({op, {draws.numbers(shape, dtype)}});
    return out;
  }
};
template <class T>
using Cases = std::vector<std::pair<T, Shape>>;

template <>
struct Samples<Reshape> : ViewSamples<Reshape> {
  static Cases<Reshape> cases() {
    return {{{{4, 6}}, {2, 3, 4}}, {{{3, -1, 2}}, {4, 3, 2}}, {{{}}, {1, 1}},        {{{1, -1, 1}}, {6}},
            {{{0, 5}}, {3, 0}},    {{{2, 3, 2, 2}}, {6, 4}},  {{{2, 12}}, {2, 3, 4}}};
  }
  static Dims source(const Reshape&, const Shape& in, const Shape& out, const Dims& at) {
    return index_at(place_of(at, out), in);
  }
};

template <>
struct Samples<Flatten> : ViewSamples<Flatten> {
  static Cases<Flatten> cases() {
    return {{{0, -1}, {2, 3, 4}}, {{1, -1}, {2, 3, 4}}, {{0, 1}, {2, 3, 4}},
            {{1, 1}, {2, 3}},     {{0, -1}, {}},        {{0, -1}, {2, 0, 3}}};
  }
  static Dims source(const Flatten&, const Shape& in, const Shape& out, const Dims& at) {
    return index_at(place_of(at, out), in);
  }
};

template <>
struct Samples<StopGradient> : ViewSamples<StopGradient> {
  static Cases<StopGradient> cases() { return {{{}, {2, 3}}, {{}, {4}}, {{}, {}}, {{}, {0, 2}}}; }
  static Dims source(const StopGradient&, const Shape&, const Shape&, const Dims& at) { return at; }
};

template <>
struct Samples<Permute> : ViewSamples<Permute> {
  static Cases<Permute> cases() {
    return {{{{1, 0}}, {2, 3}}, {{{2, 0, 1}}, {2, 3, 4}}, {{{0, -1, 1}}, {2, 3, 4}},
            {{{}}, {}},         {{{1, 2, 0}}, {2, 0, 3}}, {{{-1, -2, -3, -4}}, {2, 1, 3, 2}}};
  }
  static Dims source(const Permute& op, const Shape& in, const Shape&, const Dims& at) {
    Dims from = Dims::filled(in.rank(), 0);
    for (int i = 0; i < in.rank(); ++i)
      from[static_cast<int>(op.axes[i] < 0 ? op.axes[i] + in.rank() : op.axes[i])] = at[i];
    return from;
  }
};

template <>
struct Samples<Unsqueeze> : ViewSamples<Unsqueeze> {
  static Cases<Unsqueeze> cases() {
    return {{{0}, {2, 3}}, {{1}, {2, 3}}, {{-1}, {2, 3}}, {{0}, {}}, {{-3}, {2, 0}}};
  }
  static Dims source(const Unsqueeze& op, const Shape&, const Shape& out, const Dims& at) {
    Dims from = at;
    from.erase(static_cast<int>(op.axis < 0 ? op.axis + out.rank() : op.axis));
    return from;
  }
};

template <>
struct Samples<Squeeze> : ViewSamples<Squeeze> {
  static Cases<Squeeze> cases() {
    return {{{0}, {1, 3}}, {{1}, {2, 1, 3}}, {{-1}, {2, 1}}, {{0}, {1}}, {{0}, {1, 0}}};
  }
  static Dims source(const Squeeze& op, const Shape& in, const Shape&, const Dims& at) {
    Dims from = at;
    from.insert(static_cast<int>(op.axis < 0 ? op.axis + in.rank() : op.axis), 0);
    return from;
  }
};

template <>
struct Samples<Expand> : ViewSamples<Expand> {
  static Cases<Expand> cases() {
    return {{{{2, 3}}, {3}}, {{{4, -1}}, {1, 3}}, {{{2, 3, 4}}, {3, 1}},
            {{{2}}, {}},     {{{0, 3}}, {1, 3}},  {{{5, 2, -1}}, {2, 3}}};
  }
  static Dims source(const Expand&, const Shape& in, const Shape& out, const Dims& at) {
    Dims from = Dims::filled(in.rank(), 0);
    for (int i = 0; i < in.rank(); ++i) from[i] = in[i] == 1 ? 0 : at[i + out.rank() - in.rank()];
    return from;
  }
};

template <>
struct Samples<Slice> : ViewSamples<Slice> {
  static constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
  static Cases<Slice> cases() {
    return {{{0, 1, 3, 1}, {4, 3}},   {{1, 0, kEnd, 2}, {2, 5}}, {{-1, -3, -1, 1}, {2, 5}},
            {{0, 3, 2, 1}, {4}},      {{0, -100, 100, 3}, {10}}, {{1, 1, kEnd, 4}, {3, 6}},
            {{0, 0, kEnd, 1}, {0, 2}}};
  }
  static Dims source(const Slice& op, const Shape& in, const Shape&, const Dims& at) {
    const int axis = static_cast<int>(op.axis < 0 ? op.axis + in.rank() : op.axis);
    const int64_t start = op.start < 0 ? std::max<int64_t>(op.start + in[axis], 0) : op.start;
    Dims from = at;
    from[axis] = start + op.step * at[axis];
    return from;
  }
};

template <>
struct Samples<Split> : ViewSamples<Split> {
  static Cases<Split> cases() {
    return {{{2, 0}, {5, 3}}, {{1, -1}, {2, 3}}, {{2, 1}, {2, 4, 3}},
            {{9, 0}, {4}},    {{3, 1}, {2, 0}},  {{2, 1}, {0, 3}}};
  }
  static Dims source(const Split& op, const Shape& in, const Shape&, const Dims& at, size_t output) {
    const int axis = static_cast<int>(op.axis < 0 ? op.axis + in.rank() : op.axis);
    Dims from = at;
    from[axis] += static_cast<int64_t>(output) * op.size;
    return from;
  }
};

template <>
struct Samples<Flip> : ViewSamples<Flip> {
  static Cases<Flip> cases() {
    return {{{0}, {4}}, {{1}, {2, 3}}, {{-2}, {2, 3, 2}}, {{0}, {0}}, {{0}, {1}}};
  }
  static Dims source(const Flip& op, const Shape& in, const Shape&, const Dims& at) {
    const int axis = static_cast<int>(op.axis < 0 ? op.axis + in.rank() : op.axis);
    Dims from = at;
    from[axis] = in[axis] - 1 - at[axis];
    return from;
  }
};

}  // namespace varve::test
