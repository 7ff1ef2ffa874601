#include <varve/core/plan.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include <varve/core/ops/copy.h>
#include <varve/core/plan_builder.h>
#include <varve/core/precision.h>
#include <varve/core/record.h>

namespace varve {

Plan::Plan(const std::function<Tensors(const Tensors&)>& f, std::span<const Tensor> inputs)
    : grad_enabled_(grad_enabled()), tf32_allowed_(tf32_allowed()) {
  Tensors own = as_trace_inputs(inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs_.emplace_back(inputs[i]);
    if (!grad_enabled_)
      own[i] = own[i].detach();
    else if (!inputs[i].is_leaf())
      throw Error(
          fmt::format("compile: input {} was computed from tensors that require a gradient; a replay "
                      "could not go back through that. Pass x.detach(), or compute it inside",
                      i));
  }
  Trace scope(own);
  const auto shows_input = [&](const Tensor& t) {
    return std::any_of(own.begin(), own.end(),
                       [&](const Tensor& x) { return x.value().storage == t.value().storage; });
  };
  // What shows an input is copied: the next replay's input lies elsewhere.
  for (const Tensor& t : f(own)) outputs_.push_back(shows_input(t) ? clone(t.detach()) : t.detach());
  graph_ = scope.finish(outputs_);
  traced_ = graph_;
  guards_ = scope.guards();
  leaf_grads_ = scope.leaf_grads();
  Builder(*this, scope.values()).build();
  for (size_t i = 0; i < inputs.size(); ++i) sharing_.push_back(sharing_of(inputs, i));
}

void Plan::check_repeats(const Plan& first) {
  require_same_calls(*first.traced_, *traced_);
  for (size_t i = 0; i < traced_->captured.size(); ++i)
    check_captured(first.traced_->captured[i].tensor, traced_->captured[i].tensor);
  if (!std::ranges::equal(first.leaf_grads_, leaf_grads_, {}, &LeafGrad::leaf, &LeafGrad::leaf))
    refuse_runs("gradients of other leaves were read or replaced");
  traced_.reset();
}

// A run may make a constant anew, of numbers of the host's: then nobody else holds it, and it stays what it
// is.
void Plan::check_captured(const Tensor& first, const Tensor& again) const {
  if (same_view(first.value(), again.value())) return;
  const auto is_it = [&](const Graph::Captured& c) { return c.tensor.value_ptr() == again.value_ptr(); };
  const long ours = 1 + std::ranges::count_if(graph_.captured, is_it);  // and the graph that was traced
  const char* const why = std::ranges::binary_search(written_, again.value().storage.get()) ? "it is written"
                          : again.value_ptr().use_count() > ours ? "somebody else holds it"
                          : !identical(first, again)             ? "its elements differ"
                                                                 : nullptr;
  if (why)
    refuse_runs(fmt::format("each used another tensor for {}{}{}, and {}", to_string(first.spec()),
                            first.label().empty() ? "" : " ", first.label(), why));
}

// Reading one memory twice does no harm; where a replay writes, it must be shared as it was when traced: so
// what the plan returned, given back as an input, is traced into a plan of its own.
Plan::Sharing Plan::sharing_of(std::span<const Tensor> inputs, size_t i) const {
  Storage* const own = inputs[i].value().storage.get();
  const auto is_written = [&](size_t k) {
    return std::find(written_inputs_.begin(), written_inputs_.end(), k) != written_inputs_.end();
  };
  const bool written = is_written(i);
  const bool outside = std::binary_search(written_.begin(), written_.end(), own) ||
                       (written && std::any_of(outside_.begin(), outside_.end(),
                                               [&](const auto& s) { return s.get() == own; }));
  size_t first = 0;
  while (first < i && (inputs[first].value().storage.get() != own || !(written || is_written(first))))
    ++first;
  const int64_t offset = inputs[i].value().offset;
  return {outside ? own : nullptr, first, outside ? offset : offset - inputs[first].value().offset};
}

bool Plan::InputKind::is_of(const Tensor& t) const {
  return t.dtype() == spec.dtype && t.shape() == spec.shape && t.strides() == strides &&
         &t.value().storage->backend() == on && (grad_enabled() ? t.edge().node : nullptr) == leaf;
}

bool Plan::fits(std::span<const Tensor> inputs) const {
  if (inputs.size() != inputs_.size() || grad_enabled_ != grad_enabled() || tf32_allowed_ != tf32_allowed())
    return false;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs_[i].is_of(inputs[i]) || sharing_of(inputs, i) != sharing_[i]) return false;
  for (const LeafGrad& g : leaf_grads_)
    if (g.read && g.leaf->grad.value_ptr() != g.before) return false;
  return std::ranges::all_of(guards_, &Guard::holds);
}

size_t Plan::grouped_calls() const {
  size_t count = 0;
  for (const Group& g : groups_) count += g.parts > 1 ? g.count : 0;
  return count;
}

Plan::Frame::Frame(const Plan& plan) : plan_(&plan), views_(plan.views_) {
  if (plan.arena_bytes_ == 0) return;
  arena_ = std::make_shared<Storage>(*plan.arena_backend_, plan.arena_bytes_);
  point(plan.in_arena_, [&](size_t) { return arena_->data(); });
}

void Plan::Frame::run() const {
  const AllowTf32 as_traced(plan_->tf32_allowed_);
  for (const Group& g : plan_->groups_) {
    const Call& c = plan_->calls_[g.first];
    if (g.parts > 1)
      c.backend->run_parts(g.parts, g.room, [&](int64_t part, std::byte* room) { run_part(g, part, room); });
    else
      c.op->run(*c.backend, ins(c), outs(c), scratch(c));
  }
}

void Plan::Frame::run_part(const Group& group, int64_t part, std::byte* room) const {
  std::array<View, kMostRowViews> views;
  for (size_t i = group.first; i < group.first + group.count; ++i) {
    const Call& c = plan_->calls_[i];
    for (size_t v = 0; v < c.ins + c.outs; ++v) {
      const auto [beside, offset] = plan_->part_views_[c.views + v];
      views[v] = group.cut.of(views_[c.views + v], beside, part);
      if (beside == Beside::inner) views[v].data = room + offset;
    }
    c.op->run(*c.backend, Views(views.data(), c.ins), Views(views.data() + c.ins, c.outs), scratch(c));
  }
}

// A recording has its addresses for good, so it reads copies of the inputs. Those that are written, or have
// gaps, do not allow that.
void Plan::record(std::span<const Tensor> inputs) {
  const auto elsewhere = [&](const Call& c) { return c.backend != calls_[0].backend; };
  const auto has_gaps = [&](const Patch& p) { return !inputs[p.end].is_contiguous(); };
  if (calls_.empty() || !written_inputs_.empty() || std::any_of(calls_.begin(), calls_.end(), elsewhere) ||
      std::any_of(of_inputs_.begin(), of_inputs_.end(), has_gaps))
    return;
  Backend& on = *calls_[0].backend;
  std::map<size_t, ValuePtr> copies;
  std::unique_ptr<Recording> made;
  try {
    for (const Patch& p : of_inputs_)
      if (ValuePtr& copy = copies[p.end]; !copy) copy = make_value(on, inputs[p.end].spec());
    std::vector<View> places;
    for (const auto& [i, copy] : copies) places.push_back(copy->view());
    made = on.record(places, [&] {
      frame_->point(of_inputs_, [&](size_t i) { return copies.at(i)->storage->data(); });
      frame_->run();
    });
  } catch (const MemoryError&) {  // call by call it needs less
  }
  if (!made) return;
  recorded_inputs_.assign(copies.begin(), copies.end());
  recording_ = std::move(made);
}

const Tensors& Plan::run(std::span<const Tensor> inputs) {
  if (!frame_) {
    frame_.emplace(*this);
    record(inputs);
  }
  // Before the calls: one that throws may have written already.
  for (Storage* s : written_) s->bump_version();
  for (size_t i : written_inputs_) inputs[i].value().storage->bump_version();
  if (recording_) {
    inputs_at_.clear();
    for (const auto& [i, copy] : recorded_inputs_) inputs_at_.push_back(inputs[i].view().data);
    recording_->start(inputs_at_);
  } else {
    frame_->point(of_inputs_, [&](size_t i) { return inputs[i].view().data; });
    frame_->run();
  }
  for (const LeafGrad& g : leaf_grads_) g.leaf->grad = g.after;
  return outputs_;
}

const Tensors& detail::PlanCache::run(std::span<const Tensor> inputs) {
  if (Trace::current())
    throw Error("compile: a compiled function was called while tracing; call the plain function");
  if (DetectAnomaly::active()) return watched_ = f_(Tensors(inputs.begin(), inputs.end()));
  const auto found = std::ranges::find_if(plans_, [&](const auto& plan) { return plan->fits(inputs); });
  if (found != plans_.end() && (*found)->is_checked()) return (*found)->run(inputs);
  auto traced = std::make_unique<Plan>(f_, inputs);
  if (found != plans_.end()) {
    traced->check_repeats(**found);
    return (**found = std::move(*traced)).outputs();  // in the same place, for somebody may hold a reference
  }
  if (plans_.size() == kMostPlans) plans_.erase(plans_.begin());
  plans_.push_back(std::move(traced));
  return plans_.back()->outputs();
}

}  // namespace varve
