// Plan: a traced step made ready to replay: a flat list of kernel calls over memory laid out beforehand. A
// replay allocates nothing and gives the bits that running the function again would give.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <varve/core/call.h>
#include <varve/core/graph.h>
#include <varve/core/record.h>
#include <varve/core/row_cut.h>

namespace varve {

class VARVE_API Plan {
 public:
  // Traces f(inputs), running it once: what another run would do, unless that is checked. Under NoGrad inputs
  // count as constants; else each is a leaf or has none of the record, or it is an Error.
  Plan(const std::function<Tensors(const Tensors&)>& f, std::span<const Tensor> inputs);

  // An Error unless the run of this plan did what that of `first` did, which is not checked itself: so a
  // function whose host code changes its mind is found out before it is replayed.
  void check_repeats(const Plan& first);
  bool is_checked() const { return !traced_; }

  // Whether a replay would do what f does now: inputs alike, sharing memory as they did with what is written,
  // modes and precision unchanged, gradients where they were.
  bool fits(std::span<const Tensor> inputs) const;
  // Replays on inputs that fit. The outputs are the same tensors each time, overwritten by the next replay.
  const Tensors& run(std::span<const Tensor> inputs);
  const Tensors& outputs() const { return outputs_; }

  const Graph& graph() const { return graph_; }
  size_t arena_bytes() const { return arena_bytes_; }
  size_t calls() const { return calls_.size(); }
  // How many calls are done together with others, part by part.
  size_t grouped_calls() const;
  // Whether replays are started as one, where the device can; known after the first.
  bool is_recorded() const { return recording_ != nullptr; }

 private:
  struct Call {
    OpPtr op;
    Backend* backend;
    size_t views, ins, outs;  // views_[views] ... : inputs, then outputs, then scratch
  };
  // Calls that are done together, part by part; or one.
  struct Group {
    size_t first, count;  // calls_[first] ...
    RowCut cut;
    int64_t parts;
    size_t room;  // bytes that each part has of its own
  };
  struct PartView {  // of a view in views_
    Beside beside;
    size_t offset;  // in the part's room, of an inner one
  };
  struct Patch {  // a view into memory that a replay is given: the arena, or that of input or output `end`
    size_t view, end;
    int64_t offset;
  };
  // What one replay at a time needs for itself: the views, over an arena of its own. Others may replay the
  // same plan meanwhile, in theirs.
  class VARVE_API Frame {
   public:
    explicit Frame(const Plan& plan);
    Frame(Frame&&) noexcept = default;
    Frame& operator=(Frame&&) noexcept = default;
    // Points views to memory(end), end by end.
    void point(const std::vector<Patch>& patches, const auto& memory) {
      for (const Patch& p : patches) views_[p.view].data = static_cast<std::byte*>(memory(p.end)) + p.offset;
    }
    void run() const;

   private:
    Views ins(const Call& c) const { return {&views_[c.views], c.ins}; }
    Views outs(const Call& c) const { return {&views_[c.views + c.ins], c.outs}; }
    const View& scratch(const Call& c) const { return views_[c.views + c.ins + c.outs]; }
    void run_part(const Group& group, int64_t part, std::byte* room) const;

    const Plan* plan_;
    std::vector<View> views_;
    std::shared_ptr<Storage> arena_;
  };
  struct InputKind {
    Spec spec;
    Strides strides;
    const Backend* on;
    std::shared_ptr<Node> leaf;  // whose gradient a replay may write; null without one, or under NoGrad
    explicit InputKind(const Tensor& t)
        : spec(t.spec()),
          strides(t.strides()),
          on(&t.value().storage->backend()),
          leaf(grad_enabled() ? t.edge().node : nullptr) {}
    bool is_of(const Tensor& t) const;
  };
  // Which memory an input shares with what a replay writes: null and the input itself, if none; and where in
  // it the input lies.
  struct Sharing {
    const Storage* outside = nullptr;
    size_t input = 0;    // the first such, before it
    int64_t offset = 0;  // in the storage, or from that input
    bool operator==(const Sharing&) const = default;
  };
  Sharing sharing_of(std::span<const Tensor> inputs, size_t i) const;
  void check_captured(const Tensor& first, const Tensor& again) const;
  void record(std::span<const Tensor> inputs);
  class Builder;
  friend class Inference;

  Graph graph_;
  std::optional<Graph> traced_;  // as it was before dead calls were dropped and others merged, until checked
  bool grad_enabled_, tf32_allowed_;
  std::vector<InputKind> inputs_;
  std::vector<Sharing> sharing_;  // of the traced inputs
  std::vector<Guard> guards_;
  std::vector<LeafGrad> leaf_grads_;
  std::vector<Call> calls_;
  std::vector<Group> groups_;
  std::vector<View> views_;  // of what lies in the arena or is an input: shape and strides alone
  std::vector<PartView> part_views_;
  std::vector<Patch> in_arena_, of_inputs_, of_outputs_;
  size_t arena_bytes_ = 0;
  Backend* arena_backend_ = nullptr;
  std::vector<std::shared_ptr<Storage>> outside_;  // storages not in the arena that the calls use, by address
  std::vector<Storage*> written_;                  // those of them that a replay changes, by address
  std::vector<size_t> written_inputs_;             // the inputs that a replay changes
  Tensors outputs_;

  std::optional<Frame> frame_;  // of run, from the first on
  std::unique_ptr<Recording> recording_;
  std::vector<std::pair<size_t, ValuePtr>> recorded_inputs_;  // which, and the copy that the recording reads
  std::vector<const void*> inputs_at_;                        // where they lie this time
};

namespace detail {
class VARVE_API PlanCache {
 public:
  static constexpr size_t kMostPlans = 64;  // the oldest makes room
  explicit PlanCache(std::function<Tensors(const Tensors&)> f) : f_(std::move(f)) {}
  const Tensors& run(std::span<const Tensor> inputs);
  const std::vector<std::unique_ptr<Plan>>& plans() const { return plans_; }

 private:
  std::function<Tensors(const Tensors&)> f_;
  std::vector<std::unique_ptr<Plan>> plans_;
  Tensors watched_;  // what f gave while anomalies were watched for
};
}  // namespace detail

// A function of tensors that is traced on its first two calls for each kind of inputs, and replayed from then
// on.
template <size_t kInputs, class Result>
class Compiled {
 public:
  explicit Compiled(std::function<Tensors(const Tensors&)> f) : cache_(std::move(f)) {}

  using Returned = std::conditional_t<std::is_same_v<Result, Tensors>, const Tensors&, Result>;
  template <class... Args>
  Returned operator()(const Args&... args) requires(sizeof...(Args) == kInputs &&
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
template <class Result, class... Args, class F>
auto compiled(F f) {
  return Compiled<sizeof...(Args), Result>([f = std::move(f)](const Tensors& in) mutable {
    return call_with(f, in, std::index_sequence_for<Args...>{});
  });
}
template <class F, class Result, class... Args>
auto compile_as(F f, Result (F::*)(Args...) const) {
  return compiled<Result, Args...>(std::move(f));
}
template <class F, class Result, class... Args>
auto compile_as(F f, Result (F::*)(Args...)) {
  return compiled<Result, Args...>(std::move(f));
}
}  // namespace detail

// compile([&](const Tensor& x, const Tensor& y) { ...; loss.backward(); adam.step(); return loss; })
// The function takes tensors and returns a Tensor, Tensors or nothing. Its host code runs only while it is
// traced, twice for each kind of inputs, and it is an Error if the two runs differ: what changes between
// calls must be an argument or a tensor, and a number of the host's (dropout's p, say) is a constant. An
// argument that requires a gradient is traced apart for each such leaf. What it returns is overwritten by the
// next call, but for what the first call for a kind of inputs returned.
template <class F>
auto compile(F f) {
  if constexpr (std::is_pointer_v<F>) {
    return compile([f]<class R, class... A>(R (*)(A...)) { return [f](A... a) -> R { return f(a...); }; }(f));
  } else {
    static_assert(
        requires { &F::operator(); }, "compile: spell the parameters out, as const Tensor&, not auto");
    return detail::compile_as(std::move(f), &F::operator());
  }
}

}  // namespace varve
