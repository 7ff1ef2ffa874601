// Sequential: layers of any types, each fed by the one before: modules, or functions of a tensor, which have
// no members. Their names are "0", "1", ...
#pragma once

#include <string>
#include <tuple>

#include <varve/core/members.h>

namespace varve::nn {

template <class... Layers>
struct Sequential {
  std::tuple<Layers...> layers;

  explicit Sequential(Layers... given) : layers(std::move(given)...) {}
  Tensor operator()(const Tensor& x) const {
    Tensor y = x;
    std::apply([&](const Layers&... layer) { ((y = layer(y)), ...); }, layers);
    return y;
  }

  static void members(auto& self, auto&& visit) {
    size_t i = 0;
    const auto visit_layer = [&](auto& layer) {
      if constexpr (Module<std::remove_reference_t<decltype(layer)>>) visit(std::to_string(i), layer);
      ++i;
    };
    std::apply([&](auto&... layer) { (visit_layer(layer), ...); }, self.layers);
  }
};

// A Sequential of one Sequential nests it, rather than copying it.
template <class... Layers>
Sequential(Sequential<Layers...>) -> Sequential<Sequential<Layers...>>;

}  // namespace varve::nn
