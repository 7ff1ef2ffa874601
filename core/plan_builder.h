// Turns a traced graph into a plan's calls and its memory.
#pragma once

#include <varve/core/arena.h>
#include <varve/core/plan.h>
#include <varve/core/schedule.h>

namespace varve {

// A value's root is the value whose memory it views.
class Plan::Builder {
 public:
  Builder(Plan& plan, const std::vector<ValuePtr>& values) : plan_(plan), values_(values) {}
  void build();

 private:
  static constexpr uint32_t kNone = ~0u;

  // What is known of each value.
  void find_roots();
  void find_escaped();
  // Fewer calls, in a better order.
  void drop_dead();
  void merge_equal();
  void fold_constants();
  void group_calls();
  // Memory: of a group's own while it runs, or of the arena.
  void find_inner();
  void lay_out();
  // What a plan keeps.
  void make_groups();
  void make_call(uint32_t call, size_t group);
  void add_view(uint32_t value, Beside beside, const Arena& room);
  void note_written(const Graph::Call& call);

  std::vector<bool> changed_roots() const;
  void check_device(Backend& its);
  Backend& backend_of(const Graph::Call& call) const;
  uint32_t scratch_of(uint32_t call) const { return static_cast<uint32_t>(values_.size()) + call; }

  Plan& plan_;
  std::vector<ValuePtr> values_;
  std::vector<uint32_t> root_, made_by_, input_;
  std::vector<bool> outside_;  // memory that somebody else holds, too
  std::vector<CallGroup> groups_;
  std::vector<bool> inner_;   // memory that its group alone uses
  Arena arena_;               // blocks: a value's number, or that of a call's scratch beyond those
  std::vector<Arena> rooms_;  // of each group, for a part
};

}  // namespace varve
