// GroupBuilder: which calls may be done together, some rows of their results after the other.
#pragma once

#include <map>
#include <vector>

#include <varve/core/graph.h>
#include <varve/core/row_cut.h>

namespace varve {

inline constexpr size_t kMostRowViews = 16;  // inputs and outputs of a call that is done with others
inline constexpr size_t kMostGroupCalls = 64;

VARVE_API std::vector<View> views_of(const std::vector<uint32_t>& numbers,
                                     const std::vector<ValuePtr>& values);
// Whether all that a call gives is a view of its first input.
VARVE_API bool is_view(const Graph::Call& call, const std::vector<ValuePtr>& values);

// How a call may be done for some rows of its result: out[0], or what it updates first.
struct RowCall {
  Shape rows;                  // sizes of the result's axes but the last
  std::vector<Beside> beside;  // of each input
  int64_t terms;               // that each element is made of
};
// Null where it cannot.
VARVE_API std::optional<RowCall> by_rows(const Graph::Call& call, const std::vector<ValuePtr>& values);

class VARVE_API GroupBuilder {
 public:
  // `part_bytes`: of results, that stay in cache.
  GroupBuilder(const std::vector<ValuePtr>& values, size_t part_bytes)
      : values_(&values), part_bytes_(part_bytes) {}

  const std::vector<uint32_t>& calls() const { return calls_; }
  bool has(uint32_t call) const;
  size_t written_bytes() const { return written_bytes_; }
  // Adds call number `number` after the others, if it may be done with them.
  bool add(uint32_t number, const Graph::Call& call, const RowCall& rows);
  // Parts that stay in cache, and are enough for the threads; or one, where to cut does not pay.
  RowCut cut() const;

 private:
  // Of one memory. If any use writes, all must be of the same elements, cut as the rows are.
  struct Use {
    const Value* value;
    bool alike, written;
  };
  using Uses = std::map<const Storage*, Use>;

  bool note(Uses& uses, uint32_t value, Beside beside, bool writes) const;
  void measure(const Graph::Call& call, const RowCall& rows);
  const Value& value(uint32_t v) const { return *(*values_)[v]; }

  const std::vector<ValuePtr>* values_;
  size_t part_bytes_;
  std::vector<uint32_t> calls_;
  Uses uses_;
  Shape rows_;
  const Backend* on_ = nullptr;
  size_t written_bytes_ = 0;
  size_t cached_bytes_ = 0;  // read of its own results, those that would be out of cache otherwise
  size_t whole_bytes_ = 0;   // that each part reads whole
  double work_ = 0;          // terms
  bool sums_ = false, updates_ = false, refuses_ = false;
};

}  // namespace varve
