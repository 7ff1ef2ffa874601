#include <varve/core/schedule.h>

#include <algorithm>
#include <map>

namespace varve {
namespace {

constexpr size_t kMostMoved = 64 << 10;  // bytes of a call's results for it to be moved ahead of a group
constexpr size_t kMostEarly = 4 << 20;   // bytes of a group's results that may wait, and half of all it has

class Scheduler {
 public:
  Scheduler(const Graph& graph, const std::vector<ValuePtr>& values, size_t part_bytes)
      : calls_(graph.calls), values_(values), part_bytes_(part_bytes) {
    find_order();
  }

  std::vector<CallGroup> run() {
    for (uint32_t c = 0; c < calls_.size(); ++c)
      if (!done_[c]) emit_group_of(c);
    return std::move(groups_);
  }

 private:
  void find_order() {
    struct Last {
      std::vector<uint32_t> writer, readers;  // the last to write, and who has read since
    };
    std::map<const Storage*, Last> last;
    std::vector<uint32_t> refusing;
    before_.resize(calls_.size());
    readers_.resize(calls_.size());
    rows_.resize(calls_.size());
    done_.resize(calls_.size());
    for (uint32_t c = 0; c < calls_.size(); ++c) {
      const Graph::Call& call = calls_[c];
      done_[c] = is_view(call, values_);
      if (done_[c]) continue;
      if (part_bytes_ > 0) rows_[c] = by_rows(call, values_);
      const auto follow = [&](const std::vector<uint32_t>& others) {
        for (const uint32_t other : others)
          if (other != c) before_[c].push_back(other);
      };
      for (const uint32_t v : call.in) {
        Last& l = last[memory(v)];
        follow(l.writer);
        for (const uint32_t writer : l.writer) readers_[writer].push_back(c);
        l.readers.push_back(c);
      }
      const auto write = [&](uint32_t v) {
        Last& l = last[memory(v)];
        follow(l.writer), follow(l.readers);
        l = {{c}, {}};
      };
      for (size_t i = 0; i < call.in.size(); ++i)
        if (call.op->writes(i)) write(call.in[i]);
      if (call.op->updates()) follow(refusing);  // nothing is changed before it is sure to be
      if (call.op->refuses()) refusing.push_back(c);
      for (const uint32_t v : call.out) write(v);
    }
  }
  const Storage* memory(uint32_t v) const { return values_[v]->storage.get(); }

  // The group that begins with call c, and takes along all that reads what it writes, if it can.
  void emit_group_of(uint32_t c) {
    GroupBuilder group(values_, part_bytes_);
    if (!add(group, c)) return emit({{c}, {}});
    for (size_t i = 0; i < group.calls().size(); ++i)
      for (const uint32_t reader : readers_[group.calls()[i]])
        if (!done_[reader] && !group.has(reader)) bring(reader, group);
    const RowCut cut = group.calls().size() > 1 ? group.cut() : RowCut{};
    emit(cut.parts() > 1 ? CallGroup{group.calls(), cut} : CallGroup{{c}, {}});
  }
  void emit(CallGroup group) {
    for (const uint32_t c : group.calls) done_[c] = true;
    groups_.push_back(std::move(group));
  }
  bool add(GroupBuilder& group, uint32_t c) const { return rows_[c] && group.add(c, calls_[c], *rows_[c]); }

  // Adds a call to the group, if it can be and would not spoil it, with all that must come before it: what
  // the group can take comes along, what is small and does not wait for the group is done first.
  void bring(uint32_t call, GroupBuilder& group) {
    GroupBuilder trial = group;
    std::vector<uint32_t> first;
    const auto in_group = [&](uint32_t c) { return trial.has(c); };
    for (const uint32_t c : waiting_for(call, group)) {
      if (add(trial, c)) continue;
      if (c == call || result_bytes(c) > kMostMoved ||
          std::any_of(before_[c].begin(), before_[c].end(), in_group))
        return;
      first.push_back(c);
    }
    if (!trial.has(call) || (group.cut().parts() > 1 && trial.cut().parts() == 1)) return;
    if (early_bytes(trial) > trial.written_bytes() / 2 + kMostEarly) return;
    for (const uint32_t c : first) emit({{c}, {}});
    group = std::move(trial);
  }

  // The call, and what must come before it and is neither done nor in the group; in order. Empty: too much.
  std::vector<uint32_t> waiting_for(uint32_t call, const GroupBuilder& group) const {
    std::vector<uint32_t> found{call};
    for (size_t i = 0; i < found.size(); ++i)
      for (const uint32_t c : before_[found[i]])
        if (!done_[c] && !group.has(c) && std::find(found.begin(), found.end(), c) == found.end()) {
          if (found.size() == kMostGroupCalls) return {};
          found.push_back(c);
        }
    std::sort(found.begin(), found.end());
    return found;
  }

  // Of results that are computed before their turn, and wait for calls outside the group.
  size_t early_bytes(const GroupBuilder& group) const {
    uint32_t turn = group.calls()[0];
    while (turn < calls_.size() && (done_[turn] || group.has(turn))) ++turn;
    size_t bytes = 0;
    for (const uint32_t c : group.calls()) {
      const auto waits = [&](uint32_t reader) { return !group.has(reader); };
      if (c < turn || std::none_of(readers_[c].begin(), readers_[c].end(), waits)) continue;
      bytes += result_bytes(c);
    }
    return bytes;
  }
  size_t result_bytes(uint32_t c) const {
    size_t bytes = 0;
    for (const uint32_t v : calls_[c].out) bytes += values_[v]->spec().bytes();
    return bytes;
  }

  const std::vector<Graph::Call>& calls_;
  const std::vector<ValuePtr>& values_;
  size_t part_bytes_;
  std::vector<std::optional<RowCall>> rows_;
  std::vector<std::vector<uint32_t>> before_, readers_;  // what each must come after, at once; what reads it
  std::vector<bool> done_;
  std::vector<CallGroup> groups_;
};

}  // namespace

std::vector<CallGroup> schedule(const Graph& graph, const std::vector<ValuePtr>& values, size_t part_bytes) {
  return Scheduler(graph, values, part_bytes).run();
}

}  // namespace varve
