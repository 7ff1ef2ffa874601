// List: types as data, walked at compile time.
#pragma once

#include <cstddef>
#include <type_traits>

namespace varve {

template <class... Ts>
struct List {
  static constexpr size_t size = sizeof...(Ts);
};

namespace detail {
template <class... Lists>
struct ConcatOf {
  using type = List<>;
};
template <class... As>
struct ConcatOf<List<As...>> {
  using type = List<As...>;
};
template <class... As, class... Bs, class... Rest>
struct ConcatOf<List<As...>, List<Bs...>, Rest...> : ConcatOf<List<As..., Bs...>, Rest...> {};
}  // namespace detail

template <class... Lists>
using Concat = typename detail::ConcatOf<Lists...>::type;

// The place of T in the list; T must be in it.
template <class T, class... Ts>
consteval size_t index_in(List<Ts...>) {
  static_assert((std::is_same_v<T, Ts> || ...), "the type is not in the list");
  size_t index = 0, found = 0;
  ((std::is_same_v<T, Ts> ? void(found = index++) : void(++index)), ...);
  return found;
}

// Calls f.template operator()<T>() for each type in order.
template <class F, class... Ts>
constexpr void for_each_type(List<Ts...>, F&& f) {
  (f.template operator()<Ts>(), ...);
}

}  // namespace varve
