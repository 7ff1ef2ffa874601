#include <varve/core/plan_builder.h>

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>

#include <varve/core/arena.h>

namespace varve {

constexpr size_t kMostFolded = 64 << 10;  // bytes of a constant that is kept rather than made again

namespace {

ValuePtr moved(const Value& v, const std::shared_ptr<Storage>& storage) {
  return std::make_shared<const Value>(storage, v.offset, v.dtype, v.shape, v.strides);
}

}  // namespace

void Plan::Builder::build() {
  find_roots();
  find_escaped();
  drop_dead();
  merge_equal();
  fold_constants();
  group_calls();
  find_inner();
  lay_out();
  make_groups();
}

void Plan::Builder::find_roots() {
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
void Plan::Builder::find_escaped() {
  constexpr long kOurs = 2;  // the trace's and the builder's
  std::unordered_map<const Storage*, long> traced;
  for (const ValuePtr& v : values_) ++traced[v->storage.get()];
  outside_.resize(values_.size());
  for (uint32_t v = 0; v < values_.size(); ++v) {
    const bool made = made_by_[root_[v]] != kNone;
    const bool held =
        values_[v].use_count() > kOurs || values_[v]->storage.use_count() > traced[values_[v]->storage.get()];
    if (!made || held) outside_[root_[v]] = true;
  }
}

void Plan::Builder::drop_dead() {
  Graph live = plan_.graph_;
  for (uint32_t v = 0; v < values_.size(); ++v)
    if (made_by_[v] != kNone && outside_[root_[v]]) live.outputs.push_back(v);
  drop_dead_calls(live);
  live.outputs = plan_.graph_.outputs;
  plan_.graph_ = std::move(live);
}

// Memory that some call writes in place.
std::vector<bool> Plan::Builder::changed_roots() const {
  std::vector<bool> changed(values_.size());
  for (const Graph::Call& call : plan_.graph_.calls)
    for (size_t i = 0; i < call.in.size(); ++i)
      if (call.op->writes(i)) changed[root_[call.in[i]]] = true;
  return changed;
}

// Of calls that do the same to the same values the first alone is done, and views of what the others would
// have made become views of what it made. Not where somebody may change one of the results, in the plan or
// because it escaped.
void Plan::Builder::merge_equal() {
  std::vector<uint32_t> same(values_.size());
  std::iota(same.begin(), same.end(), 0);
  std::unordered_map<const Storage*, int> writes;  // so far
  std::unordered_map<std::string, const Graph::Call*> firsts;
  const std::vector<bool> changed = changed_roots();
  const auto is_fixed = [&](uint32_t v) { return !outside_[root_[v]] && !changed[root_[v]]; };
  std::vector<Graph::Call> kept;
  for (Graph::Call& call : plan_.graph_.calls) {
    const bool view = !call.out.empty() && root_[call.out[0]] != call.out[0];
    const AnyOp& op = *call.op;
    std::string key = fmt::format("{} {} {}", typeid(op).name(), static_cast<const void*>(&backend_of(call)),
                                  to_string(op));
    for (size_t i = 0; i < call.in.size(); ++i) {
      const uint32_t v = call.in[i] = same[call.in[i]];
      int& written = writes[values_[v]->storage.get()];
      fmt::format_to(std::back_inserter(key), " {}:{}", v, written);
      written += op.writes(i);
    }
    for (size_t i = 0; view && i < call.out.size(); ++i)
      values_[call.out[i]] = moved(*values_[call.out[i]], values_[call.in[0]]->storage);
    if (view || (!op.updates() && std::all_of(call.out.begin(), call.out.end(), is_fixed))) {
      const Graph::Call& first = *firsts.emplace(std::move(key), &call).first->second;
      if (&first != &call && same_op(*first.op, op)) {
        for (size_t i = 0; i < call.out.size(); ++i) same[call.out[i]] = first.out[i];
        continue;
      }
    }
    kept.push_back(call);
  }
  plan_.graph_.calls = std::move(kept);
  for (uint32_t& root : root_) root = same[root];
  for (uint32_t& v : plan_.graph_.outputs) v = same[v];
}

// What depends on no input and on no tensor from outside is as the trace left it, and is kept where another
// call reads it. Not where somebody may change it, in the plan or because it escaped.
void Plan::Builder::fold_constants() {
  const std::vector<bool> changed = changed_roots();
  std::vector<bool> constant(values_.size());
  std::erase_if(plan_.graph_.calls, [&](const Graph::Call& call) {
    const auto is_constant = [&](uint32_t v) { return bool(constant[root_[v]]); };
    const auto can_be = [&](uint32_t v) {
      return !outside_[root_[v]] && !changed[root_[v]] && values_[v]->spec().bytes() <= kMostFolded;
    };
    if (is_view(call, values_) || call.op->updates() ||
        !std::all_of(call.in.begin(), call.in.end(), is_constant) ||
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

// Calls are grouped where the device on which the first of them runs would have it so; all of an arena's are
// on one.
void Plan::Builder::group_calls() {
  const auto& calls = plan_.graph_.calls;
  const size_t part_bytes = calls.empty() ? 0 : backend_of(calls[0]).part_bytes();
  groups_ = schedule(plan_.graph_, values_, part_bytes);
}

// What is made and used by one group alone needs no more memory than a part of it.
void Plan::Builder::find_inner() {
  std::vector<uint32_t> user(values_.size(), kNone);
  inner_.assign(values_.size(), false);
  for (uint32_t g = 0; g < groups_.size(); ++g)
    for (const uint32_t c : groups_[g].calls) {
      const Graph::Call& call = plan_.graph_.calls[c];
      for (const uint32_t v : call.out) inner_[v] = !outside_[v] && groups_[g].cut.parts() > 1, user[v] = g;
      for (const uint32_t v : call.in)
        if (user[root_[v]] != g) inner_[root_[v]] = false;
    }
}

// Blocks of the arena live from group to group, those of a group's room from call to call.
void Plan::Builder::lay_out() {
  rooms_.resize(groups_.size());
  for (size_t g = 0; g < groups_.size(); ++g)
    for (size_t i = 0; i < groups_[g].calls.size(); ++i) {
      const uint32_t c = groups_[g].calls[i];
      const Graph::Call& call = plan_.graph_.calls[c];
      for (const auto* list : {&call.in, &call.out})
        for (const uint32_t v : *list) {
          const uint32_t root = root_[v];
          if (outside_[root]) continue;
          const Spec& spec = plan_.graph_.values[root];
          if (inner_[root]) {
            const int64_t most = groups_[g].cut.most_rows() * spec.shape.back();
            rooms_[g].use(root, static_cast<size_t>(most) * size_of(spec.dtype), i);
          } else {
            arena_.use(root, spec.bytes(), g);
          }
          check_device(values_[root]->storage->backend());
        }
      const size_t scratch = call.op->scratch(views_of(call.in, values_), views_of(call.out, values_));
      if (scratch == 0) continue;
      arena_.use(scratch_of(c), scratch, g);
      check_device(backend_of(call));
    }
  const Backend* const on = plan_.arena_backend_;
  plan_.arena_bytes_ = arena_.lay_out(on ? on->apart_bytes() : 0);
}

// All that lies in the arena is on one device.
void Plan::Builder::check_device(Backend& its) {
  Backend*& known = plan_.arena_backend_;
  if (known && known != &its)
    throw DeviceError(fmt::format("compile: the function computes on {} and on {}; required is one device",
                                  to_string(known->device()), to_string(its.device())));
  known = &its;
}

// Where a call runs: with its values. One that has none does nothing.
Backend& Plan::Builder::backend_of(const Graph::Call& call) const {
  const auto& values = call.out.empty() ? call.in : call.out;
  return values.empty() ? cpu_backend() : values_[values[0]]->storage->backend();
}

void Plan::Builder::make_groups() {
  for (size_t g = 0; g < groups_.size(); ++g) {
    const auto& [calls, cut] = groups_[g];
    plan_.groups_.push_back({plan_.calls_.size(), calls.size(), cut, cut.parts(), rooms_[g].lay_out()});
    for (const uint32_t c : calls) make_call(c, g);
  }
  const auto sort_once = [](auto& all) {
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
  };
  sort_once(plan_.written_);
  sort_once(plan_.outside_);
}

void Plan::Builder::make_call(uint32_t number, size_t group) {
  const Graph::Call& call = plan_.graph_.calls[number];
  plan_.calls_.push_back({call.op, &backend_of(call), plan_.views_.size(), call.in.size(), call.out.size()});
  std::vector<Beside> beside(call.in.size(), Beside::rows);
  if (plan_.groups_.back().parts > 1) beside = by_rows(call, values_)->beside;
  for (size_t i = 0; i < call.in.size(); ++i) add_view(call.in[i], beside[i], rooms_[group]);
  for (const uint32_t v : call.out) add_view(v, Beside::rows, rooms_[group]);
  note_written(call);
  View scratch;
  if (const uint32_t block = scratch_of(number); arena_.has(block)) {
    scratch = contiguous_view(nullptr, {DType::u8, {static_cast<int64_t>(arena_.bytes(block))}});
    plan_.in_arena_.push_back({plan_.views_.size(), 0, static_cast<int64_t>(arena_.offset(block))});
  }
  plan_.views_.push_back(scratch);
  plan_.part_views_.push_back({});
}

void Plan::Builder::add_view(uint32_t v, Beside beside, const Arena& room) {
  const uint32_t root = root_[v];
  const int64_t within = values_[v]->offset - values_[root]->offset;
  const auto patch = [&](std::vector<Patch>& patches, size_t end, size_t offset) {
    patches.push_back({plan_.views_.size(), end, static_cast<int64_t>(offset) + within});
  };
  PartView part{beside, 0};
  if (input_[root] != kNone) {
    patch(plan_.of_inputs_, input_[root], 0);
  } else if (outside_[root]) {
    const auto& storage = values_[root]->storage;
    plan_.outside_.push_back(storage);
    const auto output = std::find_if(plan_.outputs_.begin(), plan_.outputs_.end(),
                                     [&](const Tensor& t) { return t.value().storage == storage; });
    if (output != plan_.outputs_.end())
      patch(plan_.of_outputs_, static_cast<size_t>(output - plan_.outputs_.begin()), 0);
  } else if (inner_[root]) {
    part = {Beside::inner, room.offset(root)};
  } else {
    patch(plan_.in_arena_, 0, arena_.offset(root));
  }
  plan_.views_.push_back(values_[v]->view());
  plan_.part_views_.push_back(part);
}

void Plan::Builder::note_written(const Graph::Call& call) {
  for (const uint32_t v : call.out)
    if (outside_[root_[v]]) plan_.written_.push_back(values_[v]->storage.get());
  for (size_t i = 0; i < call.in.size(); ++i) {
    const uint32_t root = root_[call.in[i]];
    if (!call.op->writes(i) || !outside_[root]) continue;
    if (input_[root] != kNone)
      plan_.written_inputs_.push_back(input_[root]);
    else
      plan_.written_.push_back(values_[root]->storage.get());
  }
}

}  // namespace varve
