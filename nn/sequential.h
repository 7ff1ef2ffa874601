// Sequential: layers of any types, each fed by the one before. Their names are "0", "1", ...
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
    std::apply([&](auto&... layer) { (visit(std::to_string(i++), layer), ...); }, self.layers);
  }
};

}  // namespace varve::nn
