#include <varve/core/plan.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include <varve/core/ops/copy.h>
#include <varve/core/record.h>

namespace varve {
namespace {

constexpr uint32_t kNone = ~0u;
constexpr size_t kAlign = 64;
constexpr size_t kMostFolded = 64 << 10;  // bytes of a constant that is kept rather than made again

// A block of the arena and the calls between which it is in use.
struct Block {
  size_t bytes, first, last;
  size_t offset = 0;
  bool overlaps(const Block& o) const { return first <= o.last && o.first <= last; }
};

// Places blocks, largest first, each at the lowest offset free over its whole life; returns the size needed.
size_t place(std::vector<Block>& blocks) {
  std::vector<Block*> order;
  for (Block& b : blocks) order.push_back(&b);
  std::stable_sort(order.begin(), order.end(),
                   [](const Block* a, const Block* b) { return a->bytes > b->bytes; });
  std::vector<Block*> placed;  // by offset
  size_t total = 0;
  for (Block* b : order) {
    b->offset = 0;
    for (const Block* other : placed)
      if (b->overlaps(*other) && b->offset + b->bytes > other->offset)
        b->offset = std::max(b->offset, other->offset + other->bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), b,
                                   [](const Block* x, const Block* y) { return x->offset < y->offset; }),
                  b);
    total = std::max(total, b->offset + b->bytes);
  }
  return total;
}

size_t rounded(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

// Turns a traced graph into calls. A value's root is the value whose memory it views.
class Plan::Builder {
 public:
  Builder(Plan& plan, const std::vector<ValuePtr>& values) : plan_(plan), values_(values) {}

  void build() {
    find_roots();
    find_escaped();
    drop_dead();
    fold_constants();
    lay_out();
    make_calls();
  }

 private:
  void find_roots() {
    root_.resize(values_.size());
    made_by_.assign(values_.size(), kNone);
    for (uint32_t v = 0; v < root_.size(); ++v) root_[v] = v;
    for (uint32_t c = 0; c < plan_.graph_.calls.size(); ++c) {
      const Graph::Call& call = plan_.graph_.calls[c];
      for (uint32_t out : call.out) {
        made_by_[out] = c;
        if (!call.in.empty() && values_[out]->storage == values_[call.in[0]]->storage)
          root_[out] = root_[call.in[0]];
      }
    }
    input_.assign(values_.size(), kNone);
    for (uint32_t i = 0; i < plan_.graph_.inputs.size(); ++i) input_[plan_.graph_.inputs[i]] = i;
  }

  // Whatever somebody outside the trace still holds (an output, a leaf's gradient) keeps its own memory, and
  // replays write there.
  void find_escaped() {
    std::unordered_map<const Storage*, long> traced;
    for (const ValuePtr& v : values_) ++traced[v->storage.get()];
    outside_.resize(values_.size());
    for (uint32_t v = 0; v < values_.size(); ++v) {
      const bool made = made_by_[root_[v]] != kNone;
      const bool held =
          values_[v].use_count() > 1 || values_[v]->storage.use_count() > traced[values_[v]->storage.get()];
      if (!made || held) outside_[root_[v]] = true;
    }
  }

  void drop_dead() {
    Graph live = plan_.graph_;
    for (uint32_t v = 0; v < values_.size(); ++v)
      if (made_by_[v] != kNone && outside_[root_[v]]) live.outputs.push_back(v);
    drop_dead_calls(live);
    live.outputs = plan_.graph_.outputs;
    plan_.graph_ = std::move(live);
  }

  // What depends on no input and on no tensor from outside is as the trace left it, and is kept where another
  // call reads it. Not where somebody may change it, in the plan or because it escaped.
  void fold_constants() {
    std::vector<bool> changed(values_.size()), constant(values_.size());
    for (const Graph::Call& call : plan_.graph_.calls)
      for (size_t i = 0; i < call.in.size(); ++i)
        if (call.op->writes(i)) changed[root_[call.in[i]]] = true;
    std::erase_if(plan_.graph_.calls, [&](const Graph::Call& call) {
      const auto is_constant = [&](uint32_t v) { return bool(constant[root_[v]]); };
      const auto can_be = [&](uint32_t v) {
        return !outside_[root_[v]] && !changed[root_[v]] && values_[v]->spec().bytes() <= kMostFolded;
      };
      if (is_alias(call) || call.op->updates() || !std::all_of(call.in.begin(), call.in.end(), is_constant) ||
          !std::all_of(call.out.begin(), call.out.end(), can_be))
        return false;
      for (uint32_t v : call.out) constant[v] = true;
      return true;
    });
    for (const Graph::Call& call : plan_.graph_.calls)
      for (const uint32_t v : call.in) {
        const uint32_t root = root_[v];
        if (constant[root] && !outside_[root]) plan_.graph_.captured.push_back({root, Tensor(values_[root])});
        if (constant[root]) outside_[root] = true;
      }
  }

  bool is_alias(const Graph::Call& call) const {
    return call.out.size() == 1 && !call.in.empty() && root_[call.out[0]] != call.out[0];
  }

  std::vector<View> views_of(const std::vector<uint32_t>& numbers) const {
    std::vector<View> views;
    for (uint32_t n : numbers) views.push_back(values_[n]->view());
    return views;
  }

  void lay_out() {
    std::vector<Block> blocks;
    block_.assign(values_.size(), kNone);
    for (size_t c = 0; c < plan_.graph_.calls.size(); ++c) {
      const Graph::Call& call = plan_.graph_.calls[c];
      for (const auto* list : {&call.in, &call.out})
        for (uint32_t v : *list) {
          const uint32_t root = root_[v];
          if (outside_[root]) continue;
          if (block_[root] == kNone) {
            block_[root] = static_cast<uint32_t>(blocks.size());
            blocks.push_back({rounded(values_[root]->spec().bytes()), c, c});
            check_device(values_[root]->storage->backend());
          }
          blocks[block_[root]].last = c;
        }
      const size_t scratch = is_alias(call) ? 0 : call.op->scratch(views_of(call.in), views_of(call.out));
      scratch_.push_back(scratch ? static_cast<uint32_t>(blocks.size()) : kNone);
      if (!scratch) continue;
      blocks.push_back({rounded(scratch), c, c});
      check_device(backend_of(call));
    }
    const size_t total = place(blocks);
    for (const Block& b : blocks) offsets_.push_back(b.offset);
    for (const Block& b : blocks) sizes_.push_back(b.bytes);
    if (total) plan_.arena_ = std::make_shared<Storage>(*backend_, total);
  }

  // All that lies in the arena is on one device.
  void check_device(Backend& its) {
    if (backend_ && backend_ != &its)
      throw DeviceError(fmt::format("compile: the function computes on {} and on {}; required is one device",
                                    to_string(backend_->device()), to_string(its.device())));
    backend_ = &its;
  }

  // Where a call runs: with its values. One that has none does nothing.
  Backend& backend_of(const Graph::Call& call) const {
    const auto& values = call.out.empty() ? call.in : call.out;
    return values.empty() ? cpu_backend() : values_[values[0]]->storage->backend();
  }

  void make_calls() {
    std::unordered_set<Storage*> written;
    for (size_t c = 0; c < plan_.graph_.calls.size(); ++c) {
      const Graph::Call& call = plan_.graph_.calls[c];
      if (is_alias(call)) continue;
      Call made{call.op, &backend_of(call), plan_.views_.size(), call.in.size(), call.out.size(), {}};
      for (uint32_t v : call.in) add_view(v);
      for (uint32_t v : call.out) {
        add_view(v);
        if (outside_[root_[v]]) written.insert(values_[v]->storage.get());
      }
      for (size_t i = 0; i < call.in.size(); ++i)
        if (call.op->writes(i) && outside_[root_[call.in[i]]]) {
          if (const uint32_t input = input_[root_[call.in[i]]]; input != kNone)
            plan_.written_inputs_.push_back(input);
          else
            written.insert(values_[call.in[i]]->storage.get());
        }
      if (scratch_[c] != kNone)
        made.scratch = contiguous_view(plan_.arena_->data() + offsets_[scratch_[c]],
                                       {DType::u8, {static_cast<int64_t>(sizes_[scratch_[c]])}});
      plan_.calls_.push_back(std::move(made));
    }
    plan_.written_.assign(written.begin(), written.end());
    std::sort(plan_.written_.begin(), plan_.written_.end());
    auto& outside = plan_.outside_;
    std::sort(outside.begin(), outside.end());
    outside.erase(std::unique(outside.begin(), outside.end()), outside.end());
  }

  void add_view(uint32_t v) {
    View view = values_[v]->view();
    const uint32_t root = root_[v];
    const int64_t within = values_[v]->offset - values_[root]->offset;
    if (input_[root] != kNone)
      plan_.patches_.push_back({plan_.views_.size(), input_[root], within});
    else if (!outside_[root])
      view.data = plan_.arena_->data() + offsets_[block_[root]] + within;
    else
      plan_.outside_.push_back(values_[root]->storage);
    plan_.views_.push_back(view);
  }

  Plan& plan_;
  const std::vector<ValuePtr>& values_;
  std::vector<uint32_t> root_, made_by_, input_, block_, scratch_;
  std::vector<bool> outside_;
  std::vector<size_t> offsets_, sizes_;
  Backend* backend_ = nullptr;  // of what lies in the arena
};

Plan::Plan(const std::function<Tensors(const Tensors&)>& f, std::span<const Tensor> inputs)
    : grad_enabled_(grad_enabled()) {
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
  guards_ = scope.guards();
  leaf_grads_ = scope.leaf_grads();
  Builder(*this, scope.values()).build();
  for (size_t i = 0; i < inputs.size(); ++i) sharing_.push_back(sharing_of(inputs, i));
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
  return {outside ? own : nullptr, first};
}

bool Plan::InputKind::is_of(const Tensor& t) const {
  return t.dtype() == spec.dtype && t.shape() == spec.shape && t.strides() == strides &&
         (grad_enabled() ? t.edge().node : nullptr) == leaf;
}

bool Plan::fits(std::span<const Tensor> inputs) const {
  if (inputs.size() != inputs_.size() || grad_enabled_ != grad_enabled()) return false;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs_[i].is_of(inputs[i]) || sharing_of(inputs, i) != sharing_[i]) return false;
  for (const LeafGrad& g : leaf_grads_)
    if (g.read && g.leaf->grad.value_ptr() != g.before) return false;
  return std::all_of(guards_.begin(), guards_.end(), [](const auto& g) { return *g.first == g.second; });
}

void Plan::run_calls() {
  for (const Call& c : calls_)
    c.op->run(*c.backend, Views(&views_[c.views], c.ins), Views(&views_[c.views + c.ins], c.outs), c.scratch);
}

// A recording has its addresses for good, so it reads copies of the inputs. Those that are written, or have
// gaps, do not allow that.
void Plan::record(std::span<const Tensor> inputs) {
  record_tried_ = true;
  const auto elsewhere = [&](const Call& c) { return c.backend != calls_[0].backend; };
  const auto has_gaps = [&](const Patch& p) { return !inputs[p.input].is_contiguous(); };
  if (calls_.empty() || !written_inputs_.empty() || std::any_of(calls_.begin(), calls_.end(), elsewhere) ||
      std::any_of(patches_.begin(), patches_.end(), has_gaps))
    return;
  Backend& on = *calls_[0].backend;
  recording_ = on.record([&] {
    std::map<size_t, ValuePtr> copies;
    for (const Patch& p : patches_) {
      ValuePtr& copy = copies[p.input];
      if (!copy) copy = make_value(on, inputs[p.input].spec());
      views_[p.view].data = copy->storage->data() + p.offset;
    }
    recorded_inputs_.assign(copies.begin(), copies.end());
    run_calls();
  });
  if (!recording_) recorded_inputs_.clear();
}

const Tensors& Plan::run(std::span<const Tensor> inputs) {
  if (!record_tried_) record(inputs);
  // Before the calls: one that throws may have written already.
  for (Storage* s : written_) s->bump_version();
  for (size_t i : written_inputs_) inputs[i].value().storage->bump_version();
  if (recording_) {
    for (const auto& [i, copy] : recorded_inputs_)
      copy->storage->backend().copy(inputs[i].view(), copy->view());
    recording_->start();
  } else {
    for (const Patch& p : patches_)
      views_[p.view].data = static_cast<std::byte*>(inputs[p.input].view().data) + p.offset;
    run_calls();
  }
  for (const LeafGrad& g : leaf_grads_) g.leaf->grad = g.after;
  return outputs_;
}

const Tensors& detail::PlanCache::run(std::span<const Tensor> inputs) {
  if (Trace::current())
    throw Error("compile: a compiled function was called while tracing; call the plain function");
  if (DetectAnomaly::active()) return watched_ = f_(Tensors(inputs.begin(), inputs.end()));
  for (const auto& plan : plans_)
    if (plan->fits(inputs)) return plan->run(inputs);
  auto plan = std::make_unique<Plan>(f_, inputs);
  if (plans_.size() == kMostPlans) plans_.erase(plans_.begin());
  plans_.push_back(std::move(plan));
  return plans_.back()->outputs();
}

}  // namespace varve
