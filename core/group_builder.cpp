#include <varve/core/group_builder.h>

#include <algorithm>

namespace varve {

constexpr size_t kMeeting = 16 << 10;  // bytes that could be moved while threads meet

std::vector<View> views_of(const std::vector<uint32_t>& numbers, const std::vector<ValuePtr>& values) {
  std::vector<View> views;
  for (uint32_t n : numbers) views.push_back(values[n]->view());
  return views;
}

bool is_view(const Graph::Call& call, const std::vector<ValuePtr>& values) {
  return !call.out.empty() && !call.in.empty() && values[call.out[0]]->storage == values[call.in[0]]->storage;
}

std::optional<RowCall> by_rows(const Graph::Call& call, const std::vector<ValuePtr>& values) {
  if (call.in.size() + call.out.size() > kMostRowViews) return std::nullopt;
  const std::vector<View> in = views_of(call.in, values), out = views_of(call.out, values);
  const std::optional<RowUse> use = call.op->rows(in, out);
  if (!use || call.op->scratch(in, out) != 0) return std::nullopt;
  RowCall found{{}, {}, use->terms};
  for (size_t i = 0; i < in.size(); ++i) {
    const auto is = [i](uint32_t inputs) { return ((inputs >> i) & 1u) != 0; };
    found.beside.push_back(is(use->whole)    ? Beside::whole
                           : is(use->turned) ? Beside::turned
                           : is(use->flat)   ? Beside::flat
                                             : Beside::rows);
  }
  std::vector<View> written = out;
  for (size_t i = 0; i < in.size(); ++i)
    if (call.op->writes(i)) written.push_back(in[i]);
  for (size_t i = 0; i < written.size(); ++i) {  // all with the same rows
    Shape rows = written[i].shape;
    if (rows.rank() < 2) return std::nullopt;
    rows.erase(rows.rank() - 1);
    if (i > 0 && rows != found.rows) return std::nullopt;
    found.rows = rows;
  }
  return written.empty() ? std::nullopt : std::optional(found);
}

bool GroupBuilder::has(uint32_t call) const {
  return std::find(calls_.begin(), calls_.end(), call) != calls_.end();
}

bool GroupBuilder::add(uint32_t number, const Graph::Call& call, const RowCall& rows) {
  const Backend* const on = &value(call.out.empty() ? call.in[0] : call.out[0]).storage->backend();
  if (calls_.size() == kMostGroupCalls || (!calls_.empty() && (rows.rows != rows_ || on != on_)))
    return false;
  const bool updates = updates_ || call.op->updates(), refuses = refuses_ || call.op->refuses();
  if (updates && refuses) return false;  // a part might be changed before another refuses
  Uses uses = uses_;
  for (size_t i = 0; i < call.in.size(); ++i)
    if (!note(uses, call.in[i], rows.beside[i], call.op->writes(i))) return false;
  for (const uint32_t v : call.out)
    if (!note(uses, v, Beside::rows, true)) return false;
  for (const uint32_t v : call.in) {
    const auto use = uses_.find(value(v).storage.get());
    const size_t bytes = value(v).spec().bytes();
    if (use != uses_.end() && use->second.written && bytes > part_bytes_) cached_bytes_ += bytes;
  }
  uses_ = std::move(uses);
  updates_ = updates, refuses_ = refuses;
  rows_ = rows.rows;
  on_ = on;
  calls_.push_back(number);
  measure(call, rows);
  return true;
}

bool GroupBuilder::note(Uses& uses, uint32_t v, Beside beside, bool writes) const {
  const Value& now = value(v);
  Use& use = uses.try_emplace(now.storage.get(), Use{&now, true, writes}).first->second;
  use.alike = use.alike && beside == Beside::rows && same_view(*use.value, now);
  use.written = use.written || writes;
  return use.alike || !use.written;
}

void GroupBuilder::measure(const Graph::Call& call, const RowCall& rows) {
  const auto written = [&](uint32_t v) {
    written_bytes_ += value(v).spec().bytes();
    work_ += static_cast<double>(numel(value(v).shape)) * static_cast<double>(rows.terms);
  };
  for (size_t i = 0; i < call.in.size(); ++i)
    if (call.op->writes(i)) written(call.in[i]);
  for (const uint32_t v : call.out) written(v);
  if (rows.terms == 1) return;
  sums_ = true;
  for (size_t i = 0; i < call.in.size(); ++i)
    if (rows.beside[i] == Beside::whole) {
      const Value& x = value(call.in[i]);
      int64_t elements = 1;
      for (int axis = std::max(0, x.shape.rank() - 2); axis < x.shape.rank(); ++axis)
        elements *= x.shape[axis];
      whole_bytes_ += static_cast<size_t>(elements) * size_of(x.dtype);
    }
}

// What every part reads whole must cost less than is saved: results read again in cache, if the parts are
// small enough, and threads that meet once and not after each call.
RowCut GroupBuilder::cut() const {
  const size_t by_size = std::max<size_t>(written_bytes_ / part_bytes_, 1);
  const auto pays = [&](size_t parts) {
    return (parts - 1) * whole_bytes_ <= (parts >= by_size ? cached_bytes_ : 0) + calls_.size() * kMeeting;
  };
  auto parts = static_cast<size_t>(on_->parts_for(work_));
  while (parts < by_size) parts *= 2;  // a multiple of what the threads need
  while (!pays(parts)) parts /= 2;
  return cut_rows(rows_, static_cast<int64_t>(parts), sums_ ? kFewestInProduct : 1);
}

}  // namespace varve
