// List: any number of modules of one type, each with tensors of its own. Their names are "0", "1", ...
#pragma once

#include <string>
#include <vector>

#include <varve/core/members.h>

namespace varve::nn {

template <class M>
class List {
 public:
  List() = default;
  // n modules, each from its own call of make() or make(i).
  template <class Make>
  List(size_t n, Make make) {
    items_.reserve(n);
    for (size_t i = 0; i < n; ++i) {
      if constexpr (std::is_invocable_v<Make&, size_t>)
        items_.push_back(make(i));
      else
        items_.push_back(make());
    }
  }

  void push_back(M item) { items_.push_back(std::move(item)); }
  size_t size() const { return items_.size(); }
  M& operator[](size_t i) { return items_[i]; }
  const M& operator[](size_t i) const { return items_[i]; }
  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

  static void members(auto& self, auto&& visit) {
    for (size_t i = 0; i < self.size(); ++i) visit(std::to_string(i), self[i]);
  }

 private:
  std::vector<M> items_;
};

}  // namespace varve::nn
