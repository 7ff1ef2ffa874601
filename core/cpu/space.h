// Space: the elements a kernel visits, as few nested axes as the strides of all its operands allow.
#pragma once

#include <algorithm>
#include <array>

#include <varve/core/cpu/kernels.h>
#include <varve/core/few.h>
#include <varve/core/view.h>

namespace varve::cpu {

// How much a kernel handles at a time: 512 elements of 8 bytes for each operand stay in the first cache.
inline constexpr int64_t kChunk = 512;
// Elements of rows or draws worth a task; of sums, where one costs an addition, twice as many.
inline constexpr int64_t kTaskWork = 32 * kChunk;
inline constexpr int kMaxOperands = 12;

struct Operand {
  std::byte* data;
  DType dtype;
  Strides strides;
  int64_t item;  // bytes

  explicit Operand(const View& v)
      : data(v.as<std::byte>()),
        dtype(v.dtype),
        strides(v.strides),
        item(static_cast<int64_t>(size_of(v.dtype))) {}
  std::byte* at(int64_t element) const { return data + element * item; }
};

class Space {
 public:
  // Views of one shape.
  Space(const Shape& shape, Views first, Views second);

  int rank() const { return rank_; }
  int64_t size(int axis) const { return size_[axis]; }
  int64_t inner() const { return rank_ ? size_[rank_ - 1] : 1; }
  int64_t total() const { return total_; }
  int operands() const { return static_cast<int>(operand_.size()); }
  const Operand& operand(int i) const { return operand_[static_cast<size_t>(i)]; }
  int64_t inner_stride(const Operand& o) const { return rank_ ? o.strides[rank_ - 1] : 1; }
  // Where element `index` (in index order) of an operand lies, in elements.
  int64_t offset(const Operand& o, int64_t index) const;

 private:
  int rank_ = 0;
  int64_t total_ = 1;
  std::array<int64_t, kMaxRank> size_;
  Few<Operand, kMaxOperands> operand_;
};

// Calls piece(offset, done, count) for the runs along the inner axis that make up elements first ... first +
// n - 1.
template <class F>
void for_each_run(const Space& space, const Operand& o, int64_t first, int64_t n, F&& piece) {
  const int64_t inner = space.inner();
  for (int64_t done = 0; done < n;) {
    const int64_t index = first + done, count = std::min(inner - index % inner, n - done);
    piece(space.offset(o, index), done, count);
    done += count;
  }
}

// Elements first ... of `o` as a contiguous row of the compute type: in place where they lie so, else in
// `stage`.
const void* loaded(const Kernels& k, const Space& space, const Operand& o, Compute c, int64_t first,
                   int64_t n, void* stage);
// Where to write such a row: in place where possible, else `stage`, from which stored() then takes it.
void* target(const Space& space, const Operand& o, Compute c, int64_t first, int64_t n, void* stage);
void stored(const Kernels& k, const Space& space, const Operand& o, Compute c, int64_t first, int64_t n,
            const void* stage);

}  // namespace varve::cpu
