// Conversions between the dtypes and the compute types, strided on the dtype's side.
#include <algorithm>

#include <varve/core/converted.h>
#include <varve/core/cpu/kernels.h>

namespace varve::cpu {
namespace {

template <class From, class To>
void load(const void* from, int64_t stride, void* to, int64_t n) {
  const From* x = static_cast<const From*>(from);
  To* y = static_cast<To*>(to);
  const auto value = [](const From& v) {
    if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>)
      return converted<To>(static_cast<float>(v));
    else
      return converted<To>(v);
  };
  if (stride == 0)
    std::fill_n(y, n, value(*x));
  else if (stride == 1)
    for (int64_t i = 0; i < n; ++i) y[i] = value(x[i]);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = value(x[i * stride]);
}

template <class From, class To>
void store(const void* from, void* to, int64_t stride, int64_t n) {
  const From* x = static_cast<const From*>(from);
  To* y = static_cast<To*>(to);
  if (stride == 1)
    for (int64_t i = 0; i < n; ++i) y[i] = converted<To>(x[i]);
  else
    for (int64_t i = 0; i < n; ++i) y[i * stride] = converted<To>(x[i]);
}

template <class C>
void fill_for(Kernels& table, Compute compute) {
  const auto c = static_cast<size_t>(compute);
  for (size_t d = 0; d < kDTypes; ++d)
    dispatch(static_cast<DType>(d), [&]<class T>() {
      table.load[d][c] = load<T, C>;
      table.store[c][d] = store<C, T>;
    });
}

}  // namespace

void fill_conversions(Kernels& table) {
  fill_for<float>(table, Compute::f32);
  fill_for<double>(table, Compute::f64);
  fill_for<int64_t>(table, Compute::i64);
  fill_for<uint64_t>(table, Compute::u64);
}

}  // namespace varve::cpu
