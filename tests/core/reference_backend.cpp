#include "tests/core/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numbers>
#include <vector>

#include <varve/core/error.h>
#include <varve/core/pointwise_kernels.h>
#include <varve/core/random.h>

#include "tests/core/elements.h"

namespace varve::test {

void* ReferenceBackend::allocate(size_t bytes) { return std::aligned_alloc(64, (bytes + 64) / 64 * 64); }
void ReferenceBackend::release(void* data, size_t) noexcept { std::free(data); }
void ReferenceBackend::upload(const void* from, void* to, size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}

void ReferenceBackend::fill(const View& out, const void* value) {
  each_index(out.shape, [&](const Dims& at) { std::memcpy(element(out, at), value, size_of(out.dtype)); });
}

void ReferenceBackend::copy(const View& in, const View& out) {
  with_wide(in.dtype, [&](auto c) {
    each_index(out.shape, [&](const Dims& at) { write(out, at, read<decltype(c)>(in, at)); });
  });
}

// ---- pointwise ----

namespace {

template <class F, class C>
void apply_function(const F& f, Views in, Views out) {
  constexpr auto kIndices = std::make_index_sequence<F::kAbout.inputs>{};
  each_index(out[0].shape, [&](const Dims& at) {
    C x[F::kAbout.inputs] = {};
    for (size_t i = 0; i < in.size(); ++i) x[i] = read<C>(in[i], at);
    const auto y = pointwise::call_value(f, x, kIndices);
    if constexpr (pointwise::kOutputsOf < std::remove_const_t < decltype(y) >>> 1)
      for (size_t i = 0; i < out.size(); ++i) write(out[i], at, y[i]);
    else
      write(out[0], at, y);
  });
}

}  // namespace

void ReferenceBackend::pointwise(pointwise::Id fn, std::span<const double> constants, Views in, Views out) {
  const DType dtype = out[0].dtype == DType::boolean ? in.back().dtype : out[0].dtype;
  for_each_type(pointwise::Kernels{}, [&]<class F>() {
    if (pointwise::id_of<F> != fn) return;
    with_wide(dtype, [&](auto c) {
      using C = decltype(c);
      if constexpr (std::is_same_v<C, double> || F::kAbout.domain == pointwise::Domain::numeric)
        apply_function<F, C>(pointwise::with_constants<F>(constants.data()), in, out);
      else
        throw Error("reference: this function is for floating types");
    });
  });
}

// ---- reduce, rows ----

void ReferenceBackend::reduce(ReduceFn fn, const View& in, const View& out) {
  with_wide(in.dtype, [&](auto c) {
    using C = decltype(c);
    std::vector<std::vector<C>> parts(static_cast<size_t>(out.numel()));
    each_index(in.shape, [&](const Dims& at) {
      int64_t place = 0;
      for (int i = 0; i < in.rank(); ++i) place = place * out.shape[i] + (out.shape[i] == 1 ? 0 : at[i]);
      parts[static_cast<size_t>(place)].push_back(read<C>(in, at));
    });
    size_t place = 0;
    each_index(out.shape, [&](const Dims& at) {
      const std::vector<C>& values = parts[place++];
      C y = fn == ReduceFn::prod ? C(1) : C(0);
      if (fn == ReduceFn::max || fn == ReduceFn::min) y = values.at(0);
      for (C x : values)
        y = fn == ReduceFn::sum    ? y + x
            : fn == ReduceFn::prod ? y * x
            : fn == ReduceFn::max  ? (x != x || x > y ? x : y)
                                   : (x != x || x < y ? x : y);
      write(out, at, y);
    });
  });
}

namespace {

// One row of values through a function.
template <class C>
void one_row(RowFn fn, const std::vector<C>& x, std::vector<C>& y, std::vector<int64_t>& indices) {
  const bool smallest = fn == RowFn::argmin || fn == RowFn::sort;
  const auto nan = [](C v) { return v != v; };
  if (fn == RowFn::cumsum) {
    C sum = 0;
    for (size_t i = 0; i < x.size(); ++i) y[i] = sum += x[i];
  } else if (fn == RowFn::softmax || fn == RowFn::log_softmax) {
    long double top = -HUGE_VALL, sum = 0;
    for (C v : x) top = std::max(top, static_cast<long double>(v));
    for (C v : x) sum += std::exp(static_cast<long double>(v) - top);
    for (size_t i = 0; i < x.size(); ++i) {
      const long double log_y = static_cast<long double>(x[i]) - top - std::log(sum);
      y[i] = static_cast<C>(fn == RowFn::softmax ? std::exp(log_y) : log_y);
    }
  } else {
    const bool arg = fn == RowFn::argmax || fn == RowFn::argmin;
    for (size_t i = 0; i < x.size(); ++i) indices[i] = static_cast<int64_t>(i);
    std::stable_sort(indices.begin(), indices.end(), [&](int64_t i, int64_t j) {
      const C a = x[static_cast<size_t>(i)], b = x[static_cast<size_t>(j)];
      if (nan(a) || nan(b))
        return nan(a) != nan(b) && nan(a) == arg;  // an extreme comes first, else NaN last
      return smallest ? a < b : a > b;
    });
    for (size_t i = 0; i < x.size(); ++i) y[i] = x[static_cast<size_t>(indices[i])];
  }
}

}  // namespace

namespace {
void soft_slope(bool log, const View& y, const View& dy, const View& dx) {
  const int last = y.rank() - 1;
  each_index(y.shape, [&](const Dims& at) {
    double sum = 0;
    Dims other = at;
    for (other[last] = 0; other[last] < y.shape[last]; ++other[last])
      sum += read<double>(dy, other) * (log ? 1 : read<double>(y, other));
    const double p = read<double>(y, at), d = read<double>(dy, at);
    write(dx, at, log ? d - std::exp(p) * sum : p * (d - sum));
  });
}
}  // namespace

void ReferenceBackend::rows(RowFn fn, Views in, Views out) {
  const bool arg = fn == RowFn::argmax || fn == RowFn::argmin;
  const bool loss = fn == RowFn::cross_entropy, slope = fn == RowFn::cross_entropy_slope;
  if (fn == RowFn::softmax_slope || fn == RowFn::log_softmax_slope)
    return soft_slope(fn == RowFn::log_softmax_slope, in[0], in[1], out[0]);
  const Shape& shape = in[0].shape;
  const int last = shape.rank() - 1;
  Shape starts = shape;
  starts[last] = 1;
  if (numel(shape) == 0) return;
  with_wide(in[0].dtype, [&](auto c) {
    using C = decltype(c);
    each_index(starts, [&](const Dims& start) {
      std::vector<C> x, y(static_cast<size_t>(shape[last]));
      std::vector<int64_t> indices(y.size());
      Dims at = start;
      for (at[last] = 0; at[last] < shape[last]; ++at[last]) x.push_back(read<C>(in[0], at));
      one_row(loss ? RowFn::log_softmax : slope ? RowFn::softmax : fn, x, y, indices);
      if (arg) return write(out[0], start, indices[0]);
      const size_t target = has_targets(fn) ? read<size_t>(in[1], start) : 0;
      if (loss) return write(out[0], start, -y.at(target));
      if (slope) {
        y.at(target) -= 1;
        for (C& v : y) v *= read<C>(in[2], start);
      }
      for (at[last] = 0; at[last] < shape[last]; ++at[last]) {
        write(out[0], at, y[static_cast<size_t>(at[last])]);
        if (out.size() > 1) write(out[1], at, indices[static_cast<size_t>(at[last])]);
      }
    });
  });
}

// ---- matmul, index ----

void ReferenceBackend::matmul(const View& a, const View& b, const View& out) {
  const int row = out.rank() - 2, column = out.rank() - 1;
  each_index(out.shape, [&](const Dims& at) {
    double sum = 0;
    for (int64_t p = 0; p < a.shape[column]; ++p) {
      Dims from_a = at, from_b = at;
      from_a[column] = p, from_b[row] = p;
      sum += read<double>(a, from_a) * read<double>(b, from_b);
    }
    write(out, at, sum);
  });
}

namespace {
// `at` with the place along `axis` that the index names.
Dims redirected(const Dims& at, const View& index, int axis, int64_t size) {
  const auto found = read<int64_t>(index, at);
  if (found < -size || found >= size) throw ShapeError("reference: index out of range");
  Dims to = at;
  to[axis] = found < 0 ? found + size : found;
  return to;
}
}  // namespace

void ReferenceBackend::gather(const View& in, const View& index, int axis, const View& out) {
  each_index(out.shape, [&](const Dims& at) {
    std::memcpy(element(out, at), element(in, redirected(at, index, axis, in.shape[axis])),
                size_of(in.dtype));
  });
}

void ReferenceBackend::scatter_add(const View& in, const View& index, int axis, const View& out) {
  with_wide(in.dtype, [&](auto c) {
    using C = decltype(c);
    each_index(in.shape, [&](const Dims& at) {
      const Dims to = redirected(at, index, axis, out.shape[axis]);
      write(out, to, static_cast<C>(read<C>(out, to) + read<C>(in, at)));
    });
  });
}

// ---- random ----

void ReferenceBackend::random(RandomFn fn, double p, const View& state, const View& out) {
  auto* words = state.as<uint64_t>();
  const bool wide = out.dtype == DType::f64;
  const auto unit = [&](uint64_t i) -> double {  // the i-th number in [0, 1)
    if (!wide) return std::ldexp(philox(words[0], words[1] + i / 4)[i % 4] >> 8, -24);
    const auto w = philox(words[0], words[1] + i / 2);
    const uint64_t bits = uint64_t{w[i % 2 * 2]} << 32 | w[i % 2 * 2 + 1];
    return std::ldexp(static_cast<double>(bits >> 11), -53);
  };
  uint64_t i = 0;
  each_index(out.shape, [&](const Dims& at) {
    double y = unit(i);
    // Sixteen-bit types take as many bits as they hold: rounding more of them could give 1.
    if (fn == RandomFn::uniform && size_of(out.dtype) == 2) {
      const double steps = out.dtype == DType::f16 ? 2048 : 256;
      y = std::floor(y * steps) / steps;
    }
    if (fn == RandomFn::dropout)
      y = y < p ? 0 : 1 / (1 - p);
    else if (fn == RandomFn::normal) {  // each pair of numbers gives two: radius times cosine, and times sine
      const uint64_t pair = i / 2 * 2;
      const double radius = std::sqrt(-2 * std::log1p(-unit(pair))),
                   angle = 2 * std::numbers::pi * unit(pair + 1);
      y = radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
    }
    write(out, at, y);
    ++i;
  });
  words[1] += (i + 3) / 4 * (wide ? 2 : 1);
}

}  // namespace varve::test
