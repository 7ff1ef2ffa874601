// The walk over a module: a plain struct that lists its members.
//
// clang-format off
//   static void members(auto& self, auto&& visit) {
//     visit("ln1", self.ln1);                              a module, a parameter (Tensor), or a list or optional of them
//     visit("running_mean", self.running_mean, kBuffer);   state that is not trained
//     visit("mode", self.mode);                            train or eval
//   }
// clang-format on
//
// Everything that handles modules is a visitor of this one walk.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include <varve/core/named_tensors.h>

namespace varve {

struct BufferTag {};
inline constexpr BufferTag kBuffer;

// Whether a layer trains or predicts. Copies share the switch. Reading it while tracing guards the plan.
class VARVE_API Mode {
 public:
  bool training() const;
  void set(bool training) const { *training_ = training; }

 private:
  std::shared_ptr<bool> training_ = std::make_shared<bool>(true);
};

struct AnyMember {
  template <class T>
  void operator()(const std::string&, T&) const {}
  template <class T>
  void operator()(const std::string&, T&, BufferTag) const {}
};
template <class T>
concept Module = requires(T& t) {
  std::remove_const_t<T>::members(t, AnyMember{});
};

namespace detail {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
concept ListOf = requires(T& t) {
  t.begin(), t.end(), t.size();
}
&&!Module<T>;

inline std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

// Calls v.parameter(name, Tensor&), v.buffer(name, Tensor&), v.mode(name, Mode&); and, if it has them,
// v.enter(name, module) and v.leave() around each module.
template <class V>
struct Walk {
  V& v;
  std::string prefix;

  template <class T>
  void operator()(const std::string& name, T& member) const {
    const std::string path = joined(prefix, name);
    using U = std::remove_const_t<T>;
    if constexpr (std::is_same_v<U, Tensor>) {
      if (member.defined()) v.parameter(path, member);
    } else if constexpr (std::is_same_v<U, Mode>) {
      v.mode(path, member);
    } else if constexpr (Module<T>) {
      if constexpr (requires { v.enter(path, member); }) v.enter(path, member);
      U::members(member, Walk{v, path});
      if constexpr (requires { v.leave(); }) v.leave();
    } else if constexpr (kIsOptional<U>) {
      if (member) (*this)(name, *member);
    } else {
      static_assert(ListOf<T>, "a member is a Tensor, a Mode, a module, or a list or optional of them");
      size_t i = 0;
      for (auto& element : member) Walk{v, path}(std::to_string(i++), element);
    }
  }
  template <class T>
  void operator()(const std::string& name, T& buffer, BufferTag) const {
    static_assert(std::is_same_v<std::remove_const_t<T>, Tensor>, "a buffer is a Tensor");
    if (buffer.defined()) v.buffer(joined(prefix, name), buffer);
  }
};

}  // namespace detail

// Walks a module's members, depth first, in the order they are listed.
template <class M, class V>
void walk(M& module, V&& visitor) {
  static_assert(Module<M>, "the struct lacks static void members(auto& self, auto&& visit)");
  std::remove_const_t<M>::members(module, detail::Walk<std::remove_reference_t<V>>{visitor, ""});
}

// ---- what the walk serves ----

// A tensor met again under another name is an alias: one value, owned by its first name.
struct MemberEntry {
  std::string name;
  Tensor tensor;
  bool buffer = false;
  std::string alias_of;  // empty for a first name
};

namespace detail {
struct VARVE_API Collector {
  std::vector<MemberEntry> entries;
  std::unordered_map<const Value*, std::string> seen = {};
  void parameter(const std::string& name, const Tensor& t) { add(name, t, false); }
  void buffer(const std::string& name, const Tensor& t) { add(name, t, true); }
  void mode(const std::string&, const Mode&) {}
  void add(const std::string& name, const Tensor& t, bool buffer);
};
struct Labeller {
  void parameter(const std::string& name, const Tensor& t) { label(name, t); }
  void buffer(const std::string& name, const Tensor& t) { label(name, t); }
  void mode(const std::string&, const Mode&) {}
  static void label(const std::string& name, const Tensor& t) {
    if (t.label().empty()) t.set_label(name);
  }
};
struct ModeSetter {
  bool training;
  void parameter(const std::string&, const Tensor&) {}
  void buffer(const std::string&, const Tensor&) {}
  void mode(const std::string&, const Mode& m) { m.set(training); }
};
// Tied handles get one leaf.
struct GradSetter {
  bool on;
  std::unordered_map<const Value*, Tensor> leaves = {};
  void parameter(const std::string&, Tensor& t) {
    const auto [leaf, is_new] = leaves.emplace(t.value_ptr().get(), t);
    if (is_new) leaf->second.set_requires_grad(on);
    t = leaf->second;
  }
  void buffer(const std::string&, const Tensor&) {}
  void mode(const std::string&, const Mode&) {}
};
struct Cloner {
  std::unordered_map<ValuePtr, Tensor> clones = {};  // which live on, or another could have their address
  VARVE_API void parameter(const std::string&, Tensor& t);
  void buffer(const std::string& name, Tensor& t) { parameter(name, t); }
  void mode(const std::string&, Mode& m) {
    const bool training = m.training();
    m = Mode();
    m.set(training);
  }
};
// What `moved` makes of each tensor, and then, on a second walk, puts it in its place; undefined: it stays.
struct Mover {
  std::function<Tensor(const Tensor&)> moved;
  bool puts = false;
  std::unordered_map<ValuePtr, Tensor> made = {};
  VARVE_API static Mover to(Device device);
  VARVE_API static Mover to(DType dtype);
  VARVE_API void parameter(const std::string&, Tensor& t);
  void buffer(const std::string& name, Tensor& t) { parameter(name, t); }
  void mode(const std::string&, const Mode&) {}
};
template <class M>
void move(M& module, Mover mover) {
  walk(module, mover);
  mover.puts = true;
  walk(module, mover);
}
}  // namespace detail

// Every parameter and buffer, aliases marked.
template <class M>
std::vector<MemberEntry> member_entries(const M& module) {
  detail::Collector c;
  walk(module, c);
  return std::move(c.entries);
}

// Parameters by name, each value once.
template <class M>
NamedTensors named_parameters(const M& module) {
  NamedTensors out;
  for (MemberEntry& e : member_entries(module))
    if (!e.buffer && e.alias_of.empty()) out.add(std::move(e.name), std::move(e.tensor));
  return out;
}
template <class M>
NamedTensors named_buffers(const M& module) {
  NamedTensors out;
  for (MemberEntry& e : member_entries(module))
    if (e.buffer && e.alias_of.empty()) out.add(std::move(e.name), std::move(e.tensor));
  return out;
}
template <class M>
Tensors parameters(const M& module) {
  Tensors out;
  for (NamedTensor& p : named_parameters(module)) out.push_back(std::move(p.tensor));
  return out;
}

// Parameters and buffers under every name they have, tied ones repeated, sharing the module's memory.
template <class M>
NamedTensors state_dict(const M& module) {
  NamedTensors out;
  for (MemberEntry& e : member_entries(module)) out.add(std::move(e.name), e.tensor.detach());
  return out;
}
// Copies values in by name; see load_into for what strict means.
template <class M>
LoadReport load_state_dict(const M& module, const NamedTensors& state, bool strict = true) {
  return load_into(state_dict(module), state, strict);
}

template <class M>
StagedLoad stage_load(const M& module, const NamedTensors& state, bool strict = true) {
  return stage_load(state_dict(module), state, strict);
}

// Switches every Mode of the module; layers that differ between training and prediction read it.
template <class M>
void train(const M& module, bool on = true) {
  walk(module, detail::ModeSetter{on});
}
template <class M>
void eval(const M& module) {
  train(module, false);
}
// Gives every tensor its name for error messages.
template <class M>
void label(const M& module) {
  walk(module, detail::Labeller{});
}
// Makes every parameter require a gradient, or freezes them all: what is frozen is not trained, by any
// optimizer, until it is turned on again.
template <class M>
void set_requires_grad(M& module, bool on = true) {
  walk(module, detail::GradSetter{on});
}
template <class M>
void zero_grad(const M& module) {
  for (const Tensor& t : parameters(module)) t.zero_grad();
}
// How many numbers are trained; tied ones count once.
template <class M>
int64_t count_parameters(const M& module) {
  int64_t count = 0;
  for (const Tensor& t : parameters(module)) count += t.numel();
  return count;
}
// A module with tensors and modes of its own; ties within it stay ties. (Copying the struct shares them.)
template <class M>
M clone(M module) requires Module<M> {
  walk(module, detail::Cloner{});
  return module;
}
// Moves every parameter and buffer to that device, where they are leaves of their own: make the optimizer
// afterwards.
template <class M>
void to(M& module, Device device) requires Module<M> {
  detail::move(module, detail::Mover::to(device));
}
// Converts every floating parameter and buffer to that dtype: to a half, whose master an optimizer keeps, for
// training in mixed precision. What the module is given must be of it, too. DTypeError where it is not
// floating. Make the optimizer afterwards.
template <class M>
void to(M& module, DType dtype) requires Module<M> {
  detail::move(module, detail::Mover::to(dtype));
}
// A table: name, shape, dtype, numbers; tied tensors and buffers marked; the total.
VARVE_API std::string summary(const std::vector<MemberEntry>& entries);
template <class M>
std::string summary(const M& module) {
  return summary(member_entries(module));
}

}  // namespace varve
