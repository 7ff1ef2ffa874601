// Calls what takes tensors with a list of them.
#pragma once

#include <type_traits>
#include <utility>

#include <varve/core/tensor.h>

namespace varve::detail {

[[noreturn]] VARVE_API void wrong_inputs(size_t found, size_t required);

// A Tensor, Tensors or nothing as a list.
template <class F, class... T>
Tensors listed(F& f, const T&... in) {
  using Result = std::invoke_result_t<F&, const T&...>;
  if constexpr (std::is_void_v<Result>)
    return f(in...), Tensors{};
  else if constexpr (std::is_same_v<std::remove_cvref_t<Result>, Tensor>)
    return {f(in...)};
  else
    return f(in...);
}

template <class F, size_t... k>
Tensors call_with(F& f, const Tensors& in, std::index_sequence<k...>) {
  return listed(f, in[k]...);
}

// With the list itself if it takes one, else one by one.
template <class F>
Tensors call_module(F& f, const Tensors& in) {
  const auto spread = [&]<size_t... k>(std::index_sequence<k...> indices) {
    if (in.size() != sizeof...(k)) wrong_inputs(in.size(), sizeof...(k));
    return call_with(f, in, indices);
  };
  using T = const Tensor&;
  if constexpr (std::is_invocable_v<F&, const Tensors&>)
    return listed(f, in);
  else if constexpr (std::is_invocable_v<F&, T>)
    return spread(std::make_index_sequence<1>());
  else if constexpr (std::is_invocable_v<F&, T, T>)
    return spread(std::make_index_sequence<2>());
  else if constexpr (std::is_invocable_v<F&, T, T, T>)
    return spread(std::make_index_sequence<3>());
  else
    return spread(std::make_index_sequence<4>());
}

}  // namespace varve::detail
