// Plan: a traced step made ready to replay: a flat list of kernel calls over memory laid out beforehand. A
// replay allocates nothing and gives the bits that running the function again would give.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include <varve/core/graph.h>

namespace varve {

class VARVE_API Plan {
 public:
  // Traces f(inputs), running it once.
  Plan(const std::function<Tensors(const Tensors&)>& f, std::span<const Tensor> inputs);

  // Whether a replay would do what f does now: inputs alike, modes unchanged, gradients where they were.
  bool fits(std::span<const Tensor> inputs) const;
  // Replays on inputs that fit. The outputs are the same tensors each time, overwritten by the next replay.
  const Tensors& run(std::span<const Tensor> inputs);
  const Tensors& outputs() const { return outputs_; }

  const Graph& graph() const { return graph_; }
  size_t arena_bytes() const { return arena_ ? arena_->bytes() : 0; }
  size_t calls() const { return calls_.size(); }

 private:
  struct Call {
    OpPtr op;
    Backend* backend;
    size_t views, ins, outs;  // views_[views] ... : inputs, then outputs
    View scratch;
  };
  struct Patch {  // a view over an input's memory
    size_t view, input;
    int64_t offset;
  };
  struct InputKind {
    Spec spec;
    Strides strides;
  };
  class Builder;

  Graph graph_;
  bool grad_enabled_;
  std::vector<InputKind> inputs_;
  std::vector<std::pair<std::shared_ptr<const bool>, bool>> guards_;
  std::vector<LeafGrad> leaf_grads_;
  std::vector<Call> calls_;
  std::vector<View> views_;
  std::vector<Patch> patches_;
  std::shared_ptr<Storage> arena_;
  std::vector<std::shared_ptr<Storage>> outside_;  // storages not in the arena that the calls use
  std::vector<Storage*> written_;                  // those of them that a replay changes
  std::vector<size_t> written_inputs_;             // the inputs that a replay changes
  Tensors outputs_;
};

namespace detail {
class VARVE_API PlanCache {
 public:
  explicit PlanCache(std::function<Tensors(const Tensors&)> f) : f_(std::move(f)) {}
  const Tensors& run(std::span<const Tensor> inputs);
  const std::vector<std::unique_ptr<Plan>>& plans() const { return plans_; }

 private:
  std::function<Tensors(const Tensors&)> f_;
  std::vector<std::unique_ptr<Plan>> plans_;
};

template <class F, size_t... k>
Tensors call_with(F& f, const Tensors& in, std::index_sequence<k...>) {
  using Result = decltype(f(in[k]...));
  if constexpr (std::is_void_v<Result>)
    return f(in[k]...), Tensors{};
  else if constexpr (std::is_same_v<Result, Tensor>)
    return {f(in[k]...)};
  else
    return f(in[k]...);
}
}  // namespace detail

// A function of tensors that is traced on its first call for each kind of inputs, and replayed from then on.
template <size_t kInputs, class Result>
class Compiled {
 public:
  explicit Compiled(std::function<Tensors(const Tensors&)> f) : cache_(std::move(f)) {}

  template <class... Args>
  Result operator()(const Args&... args) requires(sizeof...(Args) == kInputs &&
                                                  (std::is_same_v<Args, Tensor> && ...)) {
    const std::array<Tensor, kInputs> in{args...};
    if constexpr (std::is_void_v<Result>)
      cache_.run(in);
    else if constexpr (std::is_same_v<Result, Tensor>)
      return cache_.run(in)[0];
    else
      return cache_.run(in);
  }
  // The plans made so far.
  const std::vector<std::unique_ptr<Plan>>& plans() const { return cache_.plans(); }

 private:
  detail::PlanCache cache_;
};

namespace detail {
template <class F, class Result, class... Args>
auto compile_signature(F f, Result (F::*)(Args...) const) {
  return Compiled<sizeof...(Args), Result>(
      [f = std::move(f)](const Tensors& in) { return call_with(f, in, std::index_sequence_for<Args...>{}); });
}
}  // namespace detail

// compile([&](const Tensor& x, const Tensor& y) { ...; loss.backward(); adam.step(); return loss; })
// The lambda takes tensors and returns a Tensor, Tensors or nothing. Its host code runs only while it is
// traced; what changes between calls must be an argument or a tensor. What it returns is overwritten by the
// next call.
template <class F>
auto compile(F f) {
  return detail::compile_signature(std::move(f), &F::operator());
}

}  // namespace varve
